"""Door: something happened. Freight is posted; units, accounts and the facts of other services are kept."""

from services.tiering import causes, facts, freight, quarter_sums
from shared.consumer import Subscription
from shared.directory import note_units
from shared.events.contacts import ContactRecorded
from shared.events.customer import AccountAssigned, AccountOpened, UnitChanged
from shared.events.freight import FreightCharged
from shared.events.retention import TaskCancelled, TaskClaimed, TaskDone, TaskOpened, TaskOverdue
from shared.events.retention_v1 import TaskCancelledV1, TaskClaimedV1, TaskDoneV1, TaskOpenedV1, TaskOverdueV1
from shared.events.tickets import RoutesCounted, TicketChanged, TicketOpened, TicketRefuted, TicketResolved

SUBSCRIPTIONS = (
    Subscription(FreightCharged, freight.post),
    Subscription(UnitChanged, note_units),
    Subscription(AccountOpened, quarter_sums.note_accounts),
    Subscription(AccountAssigned, quarter_sums.note_accounts),
    Subscription(TaskOpened, facts.note_tasks),
    Subscription(TaskClaimed, facts.note_tasks),
    Subscription(TaskDone, facts.note_tasks),
    Subscription(TaskOverdue, facts.note_tasks),
    Subscription(TaskCancelled, facts.note_tasks),
    Subscription(TaskOpenedV1, facts.note_tasks),
    Subscription(TaskClaimedV1, facts.note_tasks),
    Subscription(TaskDoneV1, facts.note_tasks),
    Subscription(TaskOverdueV1, facts.note_tasks),
    Subscription(TaskCancelledV1, facts.note_tasks),
    Subscription(ContactRecorded, facts.note_contacts),
    Subscription(ContactRecorded, causes.note_contacts),
    Subscription(TicketOpened, facts.note_tickets),
    Subscription(TicketChanged, facts.note_tickets),
    Subscription(TicketResolved, facts.note_tickets),
    Subscription(TicketRefuted, facts.note_tickets),
    Subscription(RoutesCounted, facts.note_routes),
)
