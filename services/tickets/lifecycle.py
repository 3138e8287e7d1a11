"""The life of a parcel (运单状态): which statuses are known, which settle it, which of them are problems. Pure."""

from types import MappingProxyType

SETTLING = ("DELIVERED", "CANCELLED", "RETURNED", "REFUSED")
"""Statuses that keep a promise: the parcel arrived, or nobody waits for it any more."""

PROBLEMS = MappingProxyType({"DAMAGED": "damaged", "LOST": "lost", "REFUSED": "refused", "DELAYED": "delayed"})
"""Statuses that open a problem parcel ticket at their own instant, and the ticket's cause."""

LATE = "late"
"""The cause of a ticket that no scan says: the promise fell due."""

CAUSE_HINTS = (LATE, *PROBLEMS.values())
