"""Events of the customer service: the organisation (HQ, 区, 分部, 点部) and the settlement accounts (月结账户) in it.

The other services keep their own directory of units and accounts from these. Topic `customer.events`.
"""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.events.envelope import Event
from shared.events.fields import AccountNo, Day, UnitCode, Version

UnitKind = Literal["hq", "district", "branch", "outlet"]
AccountStatus = Literal["open", "closed"]


class UnitChanged(Event):
    """A unit of the organisation was opened, moved or changed its kind."""

    TYPE: ClassVar[str] = "customer.unit-changed.v1"
    TOPIC: ClassVar[str] = "customer.events"
    KEY: ClassVar[str] = "unit_code"

    unit_code: UnitCode = Field(description="Code of the unit.")
    kind: UnitKind = Field(description="Headquarters, district (区), branch (分部) or outlet (点部).")
    parent_code: UnitCode | None = Field(description="Code of the unit above it, null for the root.")
    version: Version = Field(description="Rises with every change of this unit, from 1.")

    def identity(self) -> tuple[str | int, ...]:
        """A change is the same one when unit and version are."""
        return self.unit_code, self.version


class Membership(BaseModel):
    """Which units an account belongs to from a day on, until the next membership begins."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    branch_code: UnitCode | None = Field(description="Branch of the account, null where it has none.")
    outlet_code: UnitCode | None = Field(description="Outlet of the account, null where the branch serves it.")
    from_on: Day = Field(description="First business day of the membership.")


class AccountState(Event):
    """The whole state of a settlement account after a change; each one replaces what was known of it."""

    TOPIC: ClassVar[str] = "customer.events"
    KEY: ClassVar[str] = "account_no"

    account_no: AccountNo = Field(description="Number of the account.")
    status: AccountStatus = Field(description="Whether the account may still be charged.")
    provisional: bool = Field(
        description="True while the account is known from a parcel or charge alone; a real opening replaces its data."
    )
    opened_on: Day = Field(description="Business day of its opening; the least one seen while it is provisional.")
    memberships: tuple[Membership, ...] = Field(
        description="All memberships, by from_on; as of a day the latest that has begun holds, before all the first."
    )
    version: Version = Field(description="Rises with every change of this account, from 1.")

    def identity(self) -> tuple[str | int, ...]:
        """A change is the same one when account and version are."""
        return self.account_no, self.version


class AccountOpened(AccountState):
    """A settlement account was opened, by a person, an import, or the first event that names it."""

    TYPE: ClassVar[str] = "customer.account-opened.v1"


class AccountAssigned(AccountState):
    """A settlement account moved to another unit, or a provisional one learnt an earlier day or its branch."""

    TYPE: ClassVar[str] = "customer.account-assigned.v1"
