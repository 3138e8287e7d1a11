"""Retention (客户维系): what we owe each shipper next, who owes it, and until when.

It decides who maintains a shipper whose freight moved, by when, and whether the talk was recorded in time. It owns
maintenance tasks and the records of contacts. It never judges freight: movements come from tiering as events.
"""
