"""What this service says of an account when it changed: to its own directory, to the page, and on the bus."""

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.customer_360.rendering import touch
from services.customer.memberships import Membership
from services.customer.models import SettlementAccount
from shared import directory
from shared.events import customer as events
from shared.events.customer import AccountAssigned, AccountOpened, AccountState
from shared.outbox import publish


async def announce(
    session: AsyncSession,
    opened: Sequence[SettlementAccount],
    assigned: Sequence[SettlementAccount],
    memberships: Mapping[str, Sequence[Membership]],
) -> None:
    """Place these accounts in the directory, have their pages rendered, and publish AccountOpened or AccountAssigned."""
    states: list[AccountState] = [_state(AccountOpened, account, memberships) for account in opened]
    states += [_state(AccountAssigned, account, memberships) for account in assigned]
    if not states:
        return
    states.sort(key=lambda state: state.account_no)
    touch(session, "head", [state.account_no for state in states])
    await directory.apply_accounts(session, states, [state.version for state in states])
    for state in states:
        publish(session, state)


def _state(
    event: type[AccountState], account: SettlementAccount, memberships: Mapping[str, Sequence[Membership]]
) -> AccountState:
    return event(
        account_no=account.account_no,
        status=account.status,  # type: ignore[arg-type]
        provisional=account.provisional,
        opened_on=account.opened_on,
        memberships=tuple(
            events.Membership(from_on=held.from_on, branch_code=held.branch_code, outlet_code=held.outlet_code)
            for held in memberships[account.account_no]
        ),
        version=account.version,
    )
