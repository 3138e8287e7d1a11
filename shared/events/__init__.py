"""The public contract on the bus: every topic, every event type, and what publishes and reads them.

One module per publisher; `envelope` turns bytes into events and back; `schemas/` holds the exported JSON Schema of each
type and `golden/` samples that every reader must be able to read for ever. `python -m shared.contracts check` holds
all of it together and refuses a change that an older reader or publisher would not survive.
"""

from dataclasses import dataclass

from shared.events.contacts import ContactRecorded
from shared.events.customer import AccountAssigned, AccountOpened, UnitChanged
from shared.events.envelope import (
    INBOUND_TOPICS,
    Delivery,
    Event,
    Record,
    Rejected,
    Skipped,
    Unreadable,
    decode,
    headers_for,
    schema_uri,
)
from shared.events.freight import FreightCharged
from shared.events.radar import RadarCleared, RadarRaised
from shared.events.reports import ReportIssued
from shared.events.retention import TaskCancelled, TaskClaimed, TaskDone, TaskOpened, TaskOverdue
from shared.events.retention_v1 import TaskCancelledV1, TaskClaimedV1, TaskDoneV1, TaskOpenedV1, TaskOverdueV1
from shared.events.scores import ScoresChanged
from shared.events.shipments import KNOWN_STATUSES, ShipmentStatusChanged
from shared.events.tickets import RoutesCounted, TicketChanged, TicketOpened, TicketRefuted, TicketResolved
from shared.events.tiering import (
    EntitlementsChanged,
    MilestoneReached,
    MonthClosed,
    MonthRestated,
    MovementDetected,
    MovementRestated,
    MovementWithdrawn,
    QuarterMovementDetected,
    TiersChanged,
)


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic: what it carries, what its records are keyed by, and into how many partitions it is cut."""

    name: str
    about: str
    key: str
    partitions: int = 2


TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        Topic("shipment.events", "Scans of parcels, from carriers and their partners.", "the waybill_no"),
        Topic("freight.events", "Charges and their corrections, from billing.", "the account_no"),
        Topic(
            "customer.events",
            "Units and settlement accounts, from the customer service.",
            "the account_no for facts of an account, the unit_code for facts of a unit",
        ),
        Topic(
            "tiering.events",
            "Closes, tiers, movements, radar alerts and restated months, from the tiering service.",
            "the account_no for facts of an account, the month for facts of a month",
        ),
        Topic("retention.events", "Maintenance tasks and contacts, from the retention service.", "the account_no"),
        Topic(
            "ticket.events",
            "Tickets and the routes of parcels, from the tickets service.",
            "the ticket_id for facts of a ticket, the account_no for facts of an account",
        ),
    )
}
"""Every topic by name. Who publishes to an inbound topic chooses the key; `key` is what we recommend there."""

TYPES: dict[str, type[Event]] = {
    event.TYPE: event
    for event in (
        ShipmentStatusChanged,
        FreightCharged,
        UnitChanged,
        AccountOpened,
        AccountAssigned,
        TiersChanged,
        MonthClosed,
        MovementDetected,
        MovementRestated,
        MovementWithdrawn,
        MonthRestated,
        QuarterMovementDetected,
        EntitlementsChanged,
        MilestoneReached,
        ReportIssued,
        RadarRaised,
        RadarCleared,
        ScoresChanged,
        TaskOpened,
        TaskClaimed,
        TaskDone,
        TaskOverdue,
        TaskCancelled,
        TaskOpenedV1,
        TaskClaimedV1,
        TaskDoneV1,
        TaskOverdueV1,
        TaskCancelledV1,
        ContactRecorded,
        TicketOpened,
        TicketChanged,
        TicketResolved,
        TicketRefuted,
        RoutesCounted,
    )
}
"""Every event type by its `ce_type`."""

__all__ = [
    "INBOUND_TOPICS",
    "KNOWN_STATUSES",
    "TOPICS",
    "TYPES",
    "AccountAssigned",
    "AccountOpened",
    "ContactRecorded",
    "Delivery",
    "EntitlementsChanged",
    "Event",
    "FreightCharged",
    "MilestoneReached",
    "MonthClosed",
    "MonthRestated",
    "MovementDetected",
    "MovementRestated",
    "MovementWithdrawn",
    "QuarterMovementDetected",
    "RadarCleared",
    "RadarRaised",
    "Record",
    "Rejected",
    "ReportIssued",
    "ScoresChanged",
    "ShipmentStatusChanged",
    "Skipped",
    "TaskCancelled",
    "TaskCancelledV1",
    "TaskClaimed",
    "TaskClaimedV1",
    "TaskDone",
    "TaskDoneV1",
    "TaskOpened",
    "TaskOpenedV1",
    "TaskOverdue",
    "TaskOverdueV1",
    "TicketChanged",
    "TicketOpened",
    "TicketRefuted",
    "TicketResolved",
    "TiersChanged",
    "Topic",
    "UnitChanged",
    "Unreadable",
    "decode",
    "headers_for",
    "schema_uri",
]
