"""Answers the page of an account with one statement, in which the caller's scope travels too."""

from services.customer.customer_360 import page
from shared.db import HotReads, Scope
from shared.problems import NotFound

# The scope is set in a subquery that the look at the page depends on (LATERAL, and OFFSET 0 keeps both apart), so that row-level
# security never looks before it is set. Were it ever otherwise, nobody would see anything: no scope outlives its transaction.
# business_now() is written out: a function with a query in it is not inlined, and this is the hottest read of all.
_READ = """
SELECT p.*, c.month AS closed, c.closed_at,
       coalesce((SELECT CASE WHEN driven THEN at ELSE at + (clock_timestamp() - wall_at) END FROM business_clock),
                clock_timestamp()) AS now
FROM (
    SELECT set_config('crm.unit', $2, true) AS unit, set_config('crm.account', $3, true) AS account,
           set_config('crm.everything', $4, true) AS everything
    OFFSET 0
) s, LATERAL (
    SELECT head, opened_on, service_tier, contribution_grade, quarter_end, month, tiers_as_of, months, freight_as_of, scores,
           movements, tasks, tickets, parcels
    FROM account_360 WHERE account_no = $1 AND head IS NOT NULL AND s.unit IS NOT NULL
    OFFSET 0
) p LEFT JOIN (SELECT month, closed_at FROM closed_months ORDER BY month DESC LIMIT 1) c ON true"""


async def read(reads: HotReads, scope: Scope, account_no: str) -> bytes:
    """Return the page as JSON in UTF-8. Raises NotFound where there is no such account in the caller's scope."""
    row = await reads.row(_READ, account_no, scope.unit_code or "", scope.account_no or "", "on" if scope.everything else "off")
    if row is None:
        raise NotFound("account", account_no)
    return page.put_together(account_no, row, to_shipper=bool(scope.account_no))
