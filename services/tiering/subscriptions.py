"""Door: something happened. Freight is posted; units and accounts are kept."""

from services.tiering import freight
from shared.consumer import Subscription
from shared.directory import note_accounts, note_units
from shared.events.customer import AccountAssigned, AccountOpened, UnitChanged
from shared.events.freight import FreightCharged

SUBSCRIPTIONS = (
    Subscription(FreightCharged, freight.post),
    Subscription(UnitChanged, note_units),
    Subscription(AccountOpened, note_accounts),
    Subscription(AccountAssigned, note_accounts),
)
