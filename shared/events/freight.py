"""Events that billing publishes about freight (运费): one statement about one charge each.

Topic `freight.events`, public contract.
A charge is stated again to correct or cancel it: the highest version stands, whichever comes first.
"""

from hashlib import sha256
from typing import ClassVar

from pydantic import Field

from shared.events.envelope import Event
from shared.events.fields import AccountNo, AmountFen, Grams, Instant, Number, Version


class FreightCharged(Event):
    """A settlement account was charged for a parcel, or an earlier charge was corrected."""

    TYPE: ClassVar[str] = "freight.charged.v1"
    TOPIC: ClassVar[str] = "freight.events"
    KEY: ClassVar[str] = "account_no"

    charge_no: Number = Field(description="Number of the charge, 1-40 printable ASCII characters.")
    version: Version = Field(
        description="Version of the charge, from 1; a higher one replaces a lower one and may change amount, month and "
        "account. The same version with other content is refused, the first stays."
    )
    waybill_no: Number = Field(description="Number of the parcel charged (运单号).")
    account_no: AccountNo = Field(description="Settlement account (月结账号) that pays.")
    amount_fen: AmountFen = Field(description="Amount in fen; 0 cancels the charge.")
    charged_at: Instant = Field(
        description="When it was charged; its month in Asia/Shanghai is the business month the amount belongs to."
    )
    product: Number | None = Field(default=None, description="Code of the product sold.")
    weight_grams: Grams | None = Field(default=None, description="Charged weight in grams.")

    def content_digest(self) -> str:
        """Return the SHA-256 of all fields (64 hex digits): two statements of one version are the same by it alone."""
        return sha256(self.to_bytes()).hexdigest()

    def identity(self) -> tuple[str | int, ...]:
        """A statement is the same one when charge, version and content are."""
        return self.charge_no, self.version, self.content_digest()
