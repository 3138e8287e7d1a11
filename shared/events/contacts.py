"""Event of the retention service: a contact with an account was recorded (维系记录), in names and codes only.

Topic `retention.events`. What was said in the talk stays in retention: the event names the blocks that were filled, never
their text, and says the person by an id that means nothing outside the organisation's directory of staff.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from shared.events.envelope import Event
from shared.events.fields import AccountNo, Instant, PublicId, UnitCode

ContactChannel = Literal["visit", "phone", "sms", "email", "im"]
ContactRole = Literal["district_head", "branch_manager", "outlet_staff", "care_rep", "planning"]
ContactBlock = Literal["cause", "satisfaction", "other_needs", "competitor", "news_passed_on"]
CauseCode = Literal[
    "late_parcels", "damaged_parcels", "lost_parcels", "complaint", "price_rise", "product_dropped", "season", "competitor",
    "business_closed", "moved_away", "other",
]  # fmt: skip
"""Why freight moved, as the shipper says it; the first seven are also inferred from what we know."""


class ContactRecorded(Event):
    """Somebody entered a visit, a call or a message that took place for a task; it never changes afterwards."""

    TOPIC: ClassVar[str] = "retention.events"
    KEY: ClassVar[str] = "account_no"
    TYPE: ClassVar[str] = "retention.contact-recorded.v1"

    contact_id: PublicId = Field(description='Made from ("contact", task_id, number).')
    task_id: PublicId = Field(description="Task that it was made for.")
    account_no: AccountNo = Field(description="Account that was talked to.")
    channel: ContactChannel = Field(description="How.")
    contacted_at: Instant = Field(description="When it took place.")
    entered_at: Instant = Field(description="Business instant at which it was entered.")
    late: bool = Field(description="Whether it was entered more than three working days after it took place.")
    blocks_filled: Annotated[int, Field(ge=0, le=5)] = Field(description="How many of the five blocks it fills.")
    blocks: tuple[ContactBlock, ...] = Field(description="Which blocks it fills, in the order of the form; names, never text.")
    role: ContactRole = Field(description="Role in which it was made.")
    unit_code: UnitCode = Field(description="Unit of the task.")
    staff_id: PublicId | None = Field(description="Who entered it, where the directory of staff gives opaque ids; else null.")
    cause_code: CauseCode | None = Field(default=None, description="Why freight moved, as the shipper said it, if asked.")

    def identity(self) -> tuple[str | int, ...]:
        """A contact is recorded once."""
        return (str(self.contact_id),)
