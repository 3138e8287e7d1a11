"""The versions of the policy, and what trying one on history showed."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.tiering.models.base import CODE, Base


class PolicyVersion(Base):
    """A version of the policy, of the whole organisation (`unit_code` null) or of one unit: only the keys that it sets.

    Once published it is never changed: the database refuses it.
    """

    __tablename__ = "policy_versions"
    __table_args__ = (
        CheckConstraint("state IN ('draft', 'tried', 'approved', 'published')", name="state_check"),
        CheckConstraint("state <> 'published' OR effective_from IS NOT NULL", name="published_for_a_day"),
        CheckConstraint("state <> 'approved' OR approver <> author", name="second_person"),
        Index(
            "policy_versions_in_force",
            "unit_code",
            "effective_from",
            unique=True,
            postgresql_where="state = 'published'",
            postgresql_nulls_not_distinct=True,
        ),
        Index("policy_versions_of_unit", "unit_code", "policy_version"),
    )

    policy_version: Mapped[str] = mapped_column(CODE, primary_key=True)
    unit_code: Mapped[str | None] = mapped_column(CODE)
    state: Mapped[str]
    effective_from: Mapped[date | None]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    locks: Mapped[list[str]] = mapped_column(ARRAY(Text))
    document: Mapped[str]
    digest: Mapped[str]
    author: Mapped[str]
    drafted_at: Mapped[datetime]
    tried_at: Mapped[datetime | None]
    trial_id: Mapped[UUID | None]
    approver: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    publisher: Mapped[str | None]
    published_at: Mapped[datetime | None]


class PolicyTrial(Base):
    """A what-if: a version tried on months of real history, with its progress."""

    __tablename__ = "policy_trials"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", name="state_check"),
        Index("policy_trials_waiting", "asked_at", postgresql_where="state IN ('waiting', 'running')"),
        Index("policy_trials_of_version", "policy_version", "asked_at"),
    )

    trial_id: Mapped[UUID] = mapped_column(primary_key=True)
    policy_version: Mapped[str] = mapped_column(CODE)
    digest: Mapped[str]
    unit_code: Mapped[str | None] = mapped_column(CODE)
    first_month: Mapped[date]
    last_month: Mapped[date]
    state: Mapped[str]
    done_steps: Mapped[int]
    steps: Mapped[int]
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    business_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[str | None]
    compared_with: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class PolicyTrialUnit(Base):
    """What a what-if showed for one branch (the root: accounts without a branch)."""

    __tablename__ = "policy_trial_units"

    trial_id: Mapped[UUID] = mapped_column(ForeignKey("policy_trials.trial_id"), primary_key=True)
    unit_code: Mapped[str] = mapped_column(CODE, primary_key=True)
    result: Mapped[dict[str, Any]] = mapped_column(JSONB)


class PolicyTrialAccount(Base):
    """An account whose tier, grade or band would be another one at a close of the what-if."""

    __tablename__ = "policy_trial_accounts"
    __table_args__ = (Index("policy_trial_accounts_of_unit", "trial_id", "unit_code", "account_no", "month", "axis"),)

    trial_id: Mapped[UUID] = mapped_column(ForeignKey("policy_trials.trial_id"), primary_key=True)
    account_no: Mapped[str] = mapped_column(CODE, primary_key=True)
    month: Mapped[date] = mapped_column(primary_key=True)
    axis: Mapped[str] = mapped_column(primary_key=True)
    unit_code: Mapped[str] = mapped_column(CODE)
    today: Mapped[str | None]
    tried: Mapped[str | None]
