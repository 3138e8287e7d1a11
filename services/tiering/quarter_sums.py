"""The sums of each quarter (季内累计) and of its months, by which accounts stand now: kept by the statement that posts charges.

One row per account and quarter, in an index by branch and magnitude. A charge touches its own account's row and no other, so it
costs the same in a branch of twenty accounts and of twenty thousand. `standing` reads it; months are read as `month_totals`.
"""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from shared import directory
from shared.db import driver
from shared.events.customer import AccountState
from shared.events.envelope import Delivery


async def note_accounts(session: AsyncSession, deliveries: Sequence[Delivery[AccountState]]) -> None:
    """Keep accounts from `customer.account-opened` and `customer.account-assigned`, and rank them where they are now.

    The ledger's gate is held alone meanwhile: a posting that has just looked up where an account stands would write its row
    after we have looked for it.
    """
    connection = await driver(session)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", GATE)
    await directory.note_accounts(session, deliveries)
    await connection.execute(_FOLLOW, sorted({delivery.event.account_no for delivery in deliveries}))


GATE = 7420
"""The ledger's gate (`freight.LEDGER`)."""

_SECOND, _THIRD = (f"(z.quarter + INTERVAL '{n} months')::date" for n in (1, 2))


def last_freight(account: str, until: str) -> str:
    """Return SQL of the last month with freight of an account, until a month and with it; null where it had none.

    The rows of quarters are read from the newest back, and the first that has freight says it: through the view all are read.
    """
    second, third = f"(z.fen_2 > 0 AND {_SECOND} <= {until})", f"(z.fen_3 > 0 AND {_THIRD} <= {until})"
    return f"""(
        SELECT CASE WHEN {third} THEN {_THIRD} WHEN {second} THEN {_SECOND} ELSE z.quarter END FROM quarter_sums z
        WHERE z.account_no = {account} AND z.quarter <= {until} AND (z.fen_1 > 0 OR {second} OR {third})
        ORDER BY z.quarter DESC LIMIT 1)"""


# The look at the account is one probe of its key: as a join it would be planned as a scan of all accounts.
ADD_TO_SUMS = """deltas AS (
    SELECT account_no, quarter, coalesce(sum(change_fen) FILTER (WHERE month = quarter), 0)::bigint AS fen_1,
           coalesce(sum(change_fen) FILTER (WHERE month - quarter BETWEEN 1 AND 31), 0)::bigint AS fen_2,
           coalesce(sum(change_fen) FILTER (WHERE month - quarter > 31), 0)::bigint AS fen_3,
           coalesce(sum(charges) FILTER (WHERE month = quarter), 0) AS charges_1,
           coalesce(sum(charges) FILTER (WHERE month - quarter BETWEEN 1 AND 31), 0) AS charges_2,
           coalesce(sum(charges) FILTER (WHERE month - quarter > 31), 0) AS charges_3
    FROM (SELECT *, date_trunc('quarter', month::timestamp)::date AS quarter FROM changes) AS c
    GROUP BY account_no, quarter
), sums AS (
    INSERT INTO quarter_sums AS q
        (account_no, quarter, fen_1, fen_2, fen_3, charges_1, charges_2, charges_3, branch_code, opened_on)
    SELECT d.*, a.branch_code, a.opened_on
    FROM deltas d LEFT JOIN LATERAL (
        SELECT x.branch_code, x.opened_on FROM accounts x WHERE x.account_no = d.account_no LIMIT 1
    ) AS a ON true
    ORDER BY d.account_no, d.quarter
    ON CONFLICT (account_no, quarter) DO UPDATE
    SET fen_1 = q.fen_1 + EXCLUDED.fen_1, charges_1 = q.charges_1 + EXCLUDED.charges_1,
        fen_2 = q.fen_2 + EXCLUDED.fen_2, charges_2 = q.charges_2 + EXCLUDED.charges_2,
        fen_3 = q.fen_3 + EXCLUDED.fen_3, charges_3 = q.charges_3 + EXCLUDED.charges_3
)"""
"""CTEs after `changes` (account, month, change in fen, change in charges)."""

_FOLLOW = """
UPDATE quarter_sums q SET branch_code = a.branch_code, opened_on = a.opened_on FROM accounts a
WHERE q.account_no = ANY($1::text[]) AND a.account_no = q.account_no
  AND (q.branch_code, q.opened_on) IS DISTINCT FROM (a.branch_code, a.opened_on)"""
