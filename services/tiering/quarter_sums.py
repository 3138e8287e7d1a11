"""The sums of the running quarter (季内累计), by which accounts stand right now: kept by the statement that posts charges.

One row per account and quarter, in an index by branch and magnitude. A charge touches its own account's row and no other, so it
costs the same in a branch of twenty accounts and of twenty thousand; reading is `standing`.
"""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering.models import QuarterSum
from shared import directory
from shared.clock import business_date
from shared.db import driver
from shared.events.customer import AccountState
from shared.events.envelope import Delivery
from shared.months import quarter_start


async def note_accounts(session: AsyncSession, deliveries: Sequence[Delivery[AccountState]]) -> None:
    """Keep accounts from `customer.account-opened` and `customer.account-assigned`, and rank them where they are now.

    The ledger's gate is held alone meanwhile: a posting that has just looked up where an account stands would write its row
    after we have looked for it.
    """
    connection = await driver(session)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", GATE)
    await directory.note_accounts(session, deliveries)
    await connection.execute(_FOLLOW, sorted({delivery.event.account_no for delivery in deliveries}))


async def forget_past_quarters(session: AsyncSession, instant: datetime) -> None:
    """Take away the sums of quarters that are over, on the first day of a month: nothing is ranked by them any more."""
    today: date = business_date(instant)
    if today.day == 1:
        await session.execute(delete(QuarterSum).where(QuarterSum.quarter < quarter_start(today)))


async def differences(session: AsyncSession, quarter: date) -> list[str]:
    """Return the accounts whose sum of a quarter is not what the months' totals add up to: empty as long as all is well."""
    return list((await session.execute(text(_DIFFERENT), {"quarter": quarter})).scalars())


GATE = 7420
"""The ledger's gate (`freight.LEDGER`)."""

# A month counts from the start of the quarter in which the first open month lies. The look at the account is one probe of its
# key: as a join it would be planned as a scan of all accounts.
ADD_TO_QUARTERS = """quarter_deltas AS (
    SELECT account_no, date_trunc('quarter', month::timestamp)::date AS quarter, sum(change_fen)::bigint AS change_fen FROM deltas
    WHERE month >= coalesce((SELECT date_trunc('quarter', month + INTERVAL '1 month') FROM closed), '-infinity'::timestamp)
    GROUP BY account_no, quarter
), quarters AS (
    INSERT INTO quarter_sums (account_no, quarter, sum_fen, branch_code, opened_on)
    SELECT d.account_no, d.quarter, d.change_fen, a.branch_code, a.opened_on
    FROM quarter_deltas d LEFT JOIN LATERAL (
        SELECT x.branch_code, x.opened_on FROM accounts x WHERE x.account_no = d.account_no LIMIT 1
    ) AS a ON true
    ORDER BY d.account_no, d.quarter
    ON CONFLICT (account_no, quarter) DO UPDATE SET sum_fen = quarter_sums.sum_fen + EXCLUDED.sum_fen
)"""
"""CTEs after `deltas` (account, month, change) and `closed` (the last closed or closing month)."""

_FOLLOW = """
UPDATE quarter_sums q SET branch_code = a.branch_code, opened_on = a.opened_on FROM accounts a
WHERE q.account_no = ANY($1::text[]) AND a.account_no = q.account_no
  AND (q.branch_code, q.opened_on) IS DISTINCT FROM (a.branch_code, a.opened_on)"""

_DIFFERENT = """
SELECT coalesce(q.account_no, t.account_no) FROM (
    SELECT account_no, sum(amount_fen)::bigint AS sum_fen FROM month_totals
    WHERE month >= :quarter AND month < CAST(:quarter AS date) + INTERVAL '3 months' GROUP BY account_no
) AS t FULL JOIN (SELECT * FROM quarter_sums WHERE quarter = :quarter) AS q ON q.account_no = t.account_no
LEFT JOIN accounts a ON a.account_no = coalesce(q.account_no, t.account_no)
WHERE (q.sum_fen, q.branch_code, q.opened_on) IS DISTINCT FROM (t.sum_fen, a.branch_code, a.opened_on)
ORDER BY 1"""
