"""Tiering (客户分层): what an account is worth and whether its freight is moving, decided from billed freight alone.

It owns the freight ledger, the monthly totals, the policies, the decisions of every close and the movements. It never decides
who talks to whom: that is retention's.
"""
