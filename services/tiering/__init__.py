"""Tiering (客户分层): what an account is worth and whether its freight is moving, decided from billed freight alone.

It owns the freight ledger, the monthly totals, the policies, the decisions of every close and the movements. It never decides
who talks to whom: that is retention's.
"""

import os

# Before numpy is loaded. The matrices of a fit are of four by four: threads of BLAS would only wait for one another, at ten times
# the processor time, and the suite forks its processes from one that has none.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
