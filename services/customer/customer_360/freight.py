"""Freight on the page (运费): the standing charges of each account, summed by business month.

The highest version of a charge stands, whichever comes first; of one version the first content stays (tiering parks the
other). A month's total is changed by what each charge changed, so it is the sum of the standing charges at all times.
"""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.customer.customer_360.rendering import touch_months
from shared.db import driver
from shared.events.envelope import Delivery
from shared.events.fields import FIRST_INSTANT
from shared.events.freight import FreightCharged
from shared.months import business_month

_STAND = """
INSERT INTO overview_charges AS c (charge_no, version, account_no, month, amount_fen)
SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::date[], $5::bigint[]) AS i (charge_no)
ORDER BY i.charge_no COLLATE "C"
ON CONFLICT (charge_no) DO UPDATE
SET version = EXCLUDED.version, account_no = EXCLUDED.account_no, month = EXCLUDED.month, amount_fen = EXCLUDED.amount_fen
WHERE c.version < EXCLUDED.version
RETURNING old.account_no AS was_of, old.month AS was_in, old.amount_fen AS was_fen, c.account_no, c.month, c.amount_fen"""

_ADD = """
INSERT INTO overview_months AS m (account_no, month, amount_fen, as_of)
SELECT * FROM unnest($1::text[], $2::date[], $3::bigint[], $4::timestamptz[]) AS i (account_no, month)
ORDER BY i.account_no COLLATE "C", i.month
ON CONFLICT (account_no, month) DO UPDATE
SET amount_fen = m.amount_fen + EXCLUDED.amount_fen, as_of = greatest(m.as_of, EXCLUDED.as_of)"""

_Key = tuple[str, date]


async def note_charges(session: AsyncSession, deliveries: Sequence[Delivery[FreightCharged]]) -> None:
    """Keep the standing charges and the months of their accounts. A repeat changes nothing.

    Locks charges by number, then months by account. A month's `as_of` is the newest publication that named it, also where
    another version stands: so it does not depend on the order of arrival.
    """
    newest: dict[str, Delivery[FreightCharged]] = {}
    as_of: dict[_Key, datetime] = {}
    for delivery in deliveries:
        charge = delivery.event
        standing = newest.get(charge.charge_no)
        if standing is None or standing.event.version < charge.version:
            newest[charge.charge_no] = delivery
        key = charge.account_no, business_month(charge.charged_at)
        as_of[key] = max(as_of.get(key, delivery.time), delivery.time)
    changes = await _stand(session, newest, as_of)
    keys = sorted(changes)
    await (await driver(session)).execute(
        _ADD,
        [account_no for account_no, _ in keys],
        [month for _, month in keys],
        [changes[key] for key in keys],
        [as_of[key] for key in keys],
    )
    touch_months(session, keys)


async def _stand(
    session: AsyncSession, newest: dict[str, Delivery[FreightCharged]], as_of: dict[_Key, datetime]
) -> dict[_Key, int]:
    """Write the charges and return by how much (fen) each month named or left changed; `as_of` gains the months left."""
    charges = [newest[charge_no].event for charge_no in sorted(newest)]
    rows = await (await driver(session)).fetch(
        _STAND,
        [charge.charge_no for charge in charges],
        [charge.version for charge in charges],
        [charge.account_no for charge in charges],
        [business_month(charge.charged_at) for charge in charges],
        [charge.amount_fen for charge in charges],
    )
    changes = dict.fromkeys(as_of, 0)
    for row in rows:
        now = row["account_no"], row["month"]
        changes[now] += row["amount_fen"]
        if row["was_of"] is not None:
            was = row["was_of"], row["was_in"]
            changes[was] = changes.get(was, 0) - row["was_fen"]
            as_of.setdefault(was, FIRST_INSTANT)
    return changes
