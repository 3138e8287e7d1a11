"""Who maintains a shipper whose freight moved (维护职责矩阵) where tiering has not said so: the tier gives role and unit. Pure.

Movements name who answers for them by the policy's matrix; those of before it did are given by this default.

Source: T-31 (VIP: the district head), T-32 (key: the branch manager in person), T-33 (general: the outlet); roles X-01,
X-03, X-04.
"""

from typing import Final, Literal, NamedTuple

ServiceTier = Literal["vip", "key", "general"]
Role = Literal["district_head", "branch_manager", "outlet_staff"]

ROLE_OF_TIER: Final[dict[ServiceTier, Role]] = {
    "vip": "district_head",
    "key": "branch_manager",
    "general": "outlet_staff",
}


class Placement(NamedTuple):
    """Where an account stood when its movement was detected; a level it has not is None."""

    district_code: str | None
    branch_code: str | None
    outlet_code: str | None


class Responsible(NamedTuple):
    """The role that owes the task, the unit it owes it for, whether in person, and who helps."""

    role: str
    unit_code: str
    in_person: bool = False
    assist: tuple[dict[str, str], ...] = ()


def responsible_for(tier: ServiceTier, placement: Placement, root_unit: str) -> Responsible:
    """Name the role and unit that owe a shipper of this tier a talk.

    VIP: the district. Key: the branch. General, which includes a shipper that was never ranked: the outlet, else the
    branch. Where the account has no such unit, the root unit answers for it.
    """
    unit = {
        "vip": placement.district_code,
        "key": placement.branch_code,
        "general": placement.outlet_code or placement.branch_code,
    }[tier]
    return Responsible(ROLE_OF_TIER[tier], unit or root_unit, in_person=tier == "key")
