"""Events that carriers and their systems publish about parcels (快件): one scan each.

Topic `shipment.events`, public contract.
Scans come in any order, repeated, and months late; a parcel's timeline is the set of its scans.
"""

from datetime import datetime
from types import MappingProxyType
from typing import Annotated, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, Field

from shared.clock import shanghai_text
from shared.events.envelope import Event
from shared.events.fields import INT4_MAX, AccountNo, AmountFen, Grams, Instant, Number, Place, UnitCode

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

KNOWN_STATUSES = frozenset(LIFECYCLE)
"""Statuses that rules know. Any other text stays on the timeline, is counted, and decides nothing."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Origin(_Part):
    """Where a parcel comes from."""

    branch: UnitCode | None = Field(default=None, description="Code of the branch (分部) that took it in, if known.")
    city: Place = Field(description="City of the sender; empty where unknown.")
    region: Place = Field(description="Region or province of the sender; empty where unknown.")


class Destination(_Part):
    """Where a parcel goes."""

    city: Place = Field(description="City of the receiver; empty where unknown.")
    region: Place = Field(description="Region or province of the receiver; empty where unknown.")


class ParcelException(_Part):
    """What is wrong with a parcel, as a code of the publisher."""

    code: Number = Field(description="Code of the exception, 1-40 printable ASCII characters.")


class ShipmentStatusChanged(Event):
    """A parcel was scanned: it has this status since this instant."""

    TYPE: ClassVar[str] = "shipment.status-changed.v1"
    TOPIC: ClassVar[str] = "shipment.events"
    KEY: ClassVar[str] = "waybill_no"

    waybill_no: Number = Field(description="Number of the parcel (运单号), 1-40 printable ASCII characters.")
    account_no: AccountNo | None = Field(
        default=None, description="Settlement account that pays, null for a parcel paid otherwise."
    )
    status: Annotated[str, Field(min_length=1, max_length=40)] = Field(
        description="Status since this scan. Any text is accepted; one that rules do not know decides nothing.",
        json_schema_extra={"x-known-values": sorted(KNOWN_STATUSES)},  # type: ignore[dict-item]
    )
    occurred_at: Instant = Field(description="When it happened, with an offset, in 2000-2100.")
    promised_at: Instant | None = Field(
        default=None, description="Delivery promised until this instant; the promise of the latest scan stands."
    )
    origin: Origin = Field(description="Where the parcel comes from.")
    destination: Destination = Field(description="Where the parcel goes.")
    pieces: Annotated[int, Field(ge=1, le=INT4_MAX)] = Field(description="Number of pieces.")
    weight_grams: Grams | None = Field(default=None, description="Weight in grams.")
    goods_value_fen: AmountFen | None = Field(default=None, description="Declared value of the goods in fen.")
    insured_fen: AmountFen | None = Field(default=None, description="Insured value in fen.")
    exception: ParcelException | None = Field(default=None, description="What is wrong, null where nothing is.")
    source_code: Number | None = Field(default=None, description="Code of the system or channel the scan comes from.")

    def identity(self) -> tuple[str | int, ...]:
        """A scan is the same one when parcel, status and instant are."""
        return self.waybill_no, self.status, shanghai_text(self.occurred_at)

    def another(self, status: str, occurred_at: datetime) -> "ShipmentStatusChanged":
        """Return another scan of the same parcel; both values are as the model holds them."""
        scan = ShipmentStatusChanged.__new__(ShipmentStatusChanged)
        scan.__setstate__(self.__getstate__() | {"__dict__": self.__dict__ | {"status": status, "occurred_at": occurred_at}})
        return scan

    def to_bytes(self) -> bytes:
        """Return the data; the same bytes as pydantic's, which takes five times as long."""
        promised_at = self.promised_at
        instants = {
            "occurred_at": shanghai_text(self.occurred_at),
            "promised_at": None if promised_at is None else shanghai_text(promised_at),
        }
        return orjson.dumps(self.__dict__ | instants, default=vars)
