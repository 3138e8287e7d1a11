"""Event of the tiering service: a report was frozen or signed, or a branch's extract was taken (报告发布), and for whom.

Topic `tiering.events`. It carries no figure: whoever delivers reports fetches the document as a caller of the API.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.events.envelope import Event
from shared.events.fields import Day, Instant, PublicId, UnitCode

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")]


class Addressee(BaseModel):
    """Who gets it: everybody who has the role in the unit."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Code = Field(description="Role of the recipient.")
    unit_code: UnitCode = Field(description="Unit in which the recipient has it.")


class ReportIssued(Event):
    """A snapshot of a report was taken or signed, or an extract was taken."""

    TOPIC: ClassVar[str] = "tiering.events"
    KEY: ClassVar[str] = "unit_code"
    TYPE: ClassVar[str] = "tiering.report-issued.v1"

    report_id: PublicId = Field(description='Made from ("report", type, unit_code, period), or ("extract", unit_code, month).')
    report_type: Code = Field(description="Type of the report; `tier_extract` for a branch's extract.")
    unit_code: UnitCode = Field(description="Unit that it is about.")
    period: Annotated[str, Field(pattern=r"^[0-9]{4}-([0-9]{2}|Q[1-4])$")] = Field(description="Month or quarter it is about.")
    state: Literal["frozen", "signed"] = Field(description="Whether somebody has signed this snapshot.")
    snapshot_id: PublicId = Field(description="Snapshot that was issued.")
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(description="SHA-256 of the snapshot's content.")
    due_on: Day | None = Field(description="Day by whose end it is due, null for an extract.")
    late: bool = Field(description="Whether it was not signed by then.")
    to: tuple[Addressee, ...] = Field(description="Whom it goes to.")
    cc: tuple[Addressee, ...] = Field(description="Who gets a copy.")
    issued_at: Instant = Field(description="Business instant of this issue.")

    def identity(self) -> tuple[str | int, ...]:
        """An issue is the same one when snapshot and state are."""
        return str(self.snapshot_id), self.state
