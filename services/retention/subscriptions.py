"""Door: something happened. What retention does about the facts of other services."""

from services.retention import tasks
from shared.consumer import Subscription
from shared.directory import note_accounts, note_units
from shared.events.customer import AccountAssigned, AccountOpened, UnitChanged
from shared.events.tiering import MovementDetected, MovementRestated, MovementWithdrawn, QuarterMovementDetected

SUBSCRIPTIONS = (
    Subscription(UnitChanged, note_units),
    Subscription(AccountOpened, note_accounts),
    Subscription(AccountAssigned, note_accounts),
    Subscription(MovementDetected, tasks.note_movements),
    Subscription(MovementRestated, tasks.note_movements),
    Subscription(MovementWithdrawn, tasks.note_movements),
    Subscription(QuarterMovementDetected, tasks.note_quarter_movements),
)
