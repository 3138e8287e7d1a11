"""The tables of customer: names of units, settlement accounts with their memberships, and what the 360 is made of."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    desc,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.db import NAMING

CODE = Text(collation="C")


class Base(DeclarativeBase):
    """The declarative base of customer's own tables; the kernel's are in `shared.kernel.metadata`."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {
        str: Text,
        datetime: DateTime(timezone=True),
        date: Date,
        bytes: LargeBinary,
        dict[str, Any]: JSONB,
    }


class UnitName(Base):
    """What a unit is called, kept nowhere else; kind, parent and version are in the kernel's `units`."""

    __tablename__ = "unit_names"
    unit_code: Mapped[str] = mapped_column(CODE, primary_key=True)
    name: Mapped[str]
    recorded_by: Mapped[str]


class SettlementAccount(Base):
    """A settlement account (月结账户): the shipper that is billed once a month, and the unit of all tiering.

    `name_sealed` is encrypted. A provisional account was learnt from parcels or charges: `opened_on` is then the least
    business date seen, and `first_*` say which parcel named its branch. `version` counts the published states.
    """

    __tablename__ = "settlement_accounts"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'closed')", name="status"),
        CheckConstraint("credit_limit_fen >= 0", name="credit_limit_fen"),
    )
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    name_sealed: Mapped[bytes | None]
    status: Mapped[str]
    provisional: Mapped[bool]
    opened_on: Mapped[date]
    first_parcel_at: Mapped[datetime | None]
    first_waybill_no: Mapped[str | None] = mapped_column(CODE)
    first_branch_code: Mapped[str | None] = mapped_column(CODE)
    billing_cycle: Mapped[str | None]
    card_no: Mapped[str | None]
    credit_limit_fen: Mapped[int | None] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(Integer)
    recorded_by: Mapped[str]


class AccountMembership(Base):
    """To which unit an account belonged, from a day to a day, both included; `to_on` null: until now.

    `unit_code` is the outlet, else the branch, else null for the root.
    """

    __tablename__ = "account_memberships"
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    from_on: Mapped[date] = mapped_column(primary_key=True)
    to_on: Mapped[date | None]
    unit_code: Mapped[str | None] = mapped_column(CODE)
    branch_code: Mapped[str | None] = mapped_column(CODE)
    outlet_code: Mapped[str | None] = mapped_column(CODE)


class OverviewCharge(Base):
    """The standing version of each charge: the truth behind the months that the 360 shows."""

    __tablename__ = "overview_charges"
    charge_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    account_no: Mapped[str] = mapped_column(CODE)
    month: Mapped[date]
    amount_fen: Mapped[int] = mapped_column(BigInteger)


class OverviewMonth(Base):
    """The freight of an account in a business month: the sum of its standing charges."""

    __tablename__ = "overview_months"
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    amount_fen: Mapped[int] = mapped_column(BigInteger)
    as_of: Mapped[datetime]


class OverviewTiers(Base):
    """The tier axes of an account as tiering last said them; `quarter_end` and `month` are the months they were said for."""

    __tablename__ = "overview_tiers"
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    service_tier: Mapped[dict[str, Any] | None]
    contribution_grade: Mapped[dict[str, Any] | None]
    quarter_end: Mapped[date | None]
    month: Mapped[date | None]
    as_of: Mapped[datetime]


class ClosedMonth(Base):
    """A month that tiering has closed: the standing decisions of all accounts advanced to it."""

    __tablename__ = "closed_months"
    month: Mapped[date] = mapped_column(primary_key=True)
    closed_at: Mapped[datetime]


class OverviewScores(Base):
    """The scores of an account as tiering last said them; `scores` is the section of the page, as JSON."""

    __tablename__ = "overview_scores"
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    scores: Mapped[str]


class OverviewItem(Base):
    """One movement, task or ticket as its owner last published it; `item` is what the owner's list shows of it, as JSON.

    `shown` says whether it belongs on the page; `sorted_at` is its place there.
    """

    __tablename__ = "overview_items"
    __table_args__ = (Index("overview_items_of_account", "account_no", "section"),)
    section: Mapped[str] = mapped_column(CODE, primary_key=True)
    item_id: Mapped[str] = mapped_column(CODE, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    account_no: Mapped[str | None] = mapped_column(CODE)
    shown: Mapped[bool]
    sorted_at: Mapped[datetime]
    item: Mapped[str]
    as_of: Mapped[datetime]


class OverviewParcel(Base):
    """Where a parcel stands: its last scan of a known status, and the account named by the last of them that names one.

    `step` and `account_step` are the places of those scans' statuses in the contract's list, which break ties.
    """

    __tablename__ = "overview_parcels"
    __table_args__ = (Index("overview_parcels_of_account", "account_no", desc("occurred_at"), "waybill_no"),)
    waybill_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    status: Mapped[str]
    occurred_at: Mapped[datetime]
    step: Mapped[int] = mapped_column(SmallInteger)
    account_no: Mapped[str | None] = mapped_column(CODE)
    account_said_at: Mapped[datetime | None]
    account_step: Mapped[int | None] = mapped_column(SmallInteger)
    as_of: Mapped[datetime]


class Account360(Base):
    """The page of an account (客户360视图), ready to be read: rendered from the overview tables, never decided upon.

    `head` is the account and its unit path, null while no parcel, charge or opening has named the account. `head`, `movements`,
    `tasks`, `tickets`, `parcels` and `scores` are JSON as it is answered; tiers and months depend on the clock: the read finishes
    them.
    """

    __tablename__ = "account_360"
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    unit_code: Mapped[str | None] = mapped_column(CODE)
    opened_on: Mapped[date | None]
    head: Mapped[str | None]
    service_tier: Mapped[dict[str, Any] | None]
    contribution_grade: Mapped[dict[str, Any] | None]
    quarter_end: Mapped[date | None]
    month: Mapped[date | None]
    tiers_as_of: Mapped[datetime | None]
    months: Mapped[dict[str, Any]]
    freight_as_of: Mapped[datetime | None]
    movements: Mapped[str | None]
    tasks: Mapped[str | None]
    tickets: Mapped[str | None]
    parcels: Mapped[str | None]
    scores: Mapped[str | None]
