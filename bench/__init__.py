"""Measurements against hand-written programs, side by side: `make bench`, or `make bench QUICK=1` in under 3 minutes.

Each workload is a module. Ours and the other program run in turn, on one PostgreSQL and one Kafka that the bench starts itself
(fsync on for both), each with its totals checked in the same run: a wrong total voids the number and ends the bench with 1. A
ratio that is missed is shown as missed and changes nothing else.
"""
