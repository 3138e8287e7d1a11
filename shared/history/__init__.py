"""Parcels and charges that come as files: history folders, CSV imports, and simulated history."""
