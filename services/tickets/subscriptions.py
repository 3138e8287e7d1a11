"""Door: something happened."""

from services.tickets import tracking
from shared import directory
from shared.consumer import Subscription
from shared.events.customer import AccountAssigned, AccountOpened, UnitChanged
from shared.events.shipments import ShipmentStatusChanged

SUBSCRIPTIONS = (
    Subscription(ShipmentStatusChanged, tracking.record),
    Subscription(UnitChanged, directory.note_units),
    Subscription(AccountOpened, directory.note_accounts),
    Subscription(AccountAssigned, directory.note_accounts),
)
