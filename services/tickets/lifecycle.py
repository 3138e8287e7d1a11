"""The life of a parcel (运单状态): which statuses are known, which settle it, which of them are problems. Pure."""

from types import MappingProxyType

LIFECYCLE = (
    "CREATED",
    "PICKED_UP",
    "IN_TRANSIT",
    "ARRIVED",
    "OUT_FOR_DELIVERY",
    "ATTEMPT_FAILED",
    "AT_PICKUP_POINT",
    "DELIVERED",
    "REFUSED",
    "RETURNING",
    "RETURNED",
    "DELAYED",
    "DAMAGED",
    "LOST",
    "CUSTOMS",
    "CANCELLED",
)
"""The known statuses in the order of the public contract, which breaks ties between scans of one instant."""

STEP = MappingProxyType({status: step for step, status in enumerate(LIFECYCLE)})
"""The place of a known status in the lifecycle; a status without a place stays on the timeline and decides nothing."""

SETTLING = ("DELIVERED", "CANCELLED", "RETURNED", "REFUSED")
"""Statuses that keep a promise: the parcel arrived, or nobody waits for it any more."""

PROBLEMS = MappingProxyType({"DAMAGED": "damaged", "LOST": "lost", "REFUSED": "refused", "DELAYED": "delayed"})
"""Statuses that open a problem parcel ticket at their own instant, and the ticket's cause."""

LATE = "late"
"""The cause of a ticket that no scan says: the promise fell due."""

CAUSE_HINTS = (LATE, *PROBLEMS.values())
