"""Routes (流向): from where to where the parcels of an account went in a month, told once when the month is over.

Whoever asks why freight moved can see that a route was lost. A parcel belongs to the month of its PICKED_UP scan and to the
account that it is of when it is counted.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from shared.clock import business_date
from shared.db import driver
from shared.events.tickets import RoutesCounted
from shared.months import add_months, month_start_instant
from shared.outbox import publish_query

MOST_ROUTES, MOST_WAYBILLS = 200, 10


async def count(session: AsyncSession, instant: datetime) -> None:
    """Publish the routes of the month that is over, on the first day of the next (schedule `routes`, for T-28)."""
    today = business_date(instant)
    if today.day != 1:
        return
    month = add_months(today, -1)
    if await (await driver(session)).fetchval(_BEGIN, month, instant):
        span = {"since": month_start_instant(month), "until": month_start_instant(today)}
        publish_query(session, RoutesCounted, _COUNTED, {"month": month, **span})


_BEGIN = "INSERT INTO route_months (month, counted_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true"
_COUNTED = f"""
WITH picked_up AS (
    SELECT DISTINCT s.waybill_no, p.account_no, coalesce(s.origin_region, '') AS origin_region, s.destination_region
    FROM scans s JOIN parcels p ON p.waybill_no = s.waybill_no
    WHERE s.status = 'PICKED_UP' AND s.occurred_at >= CAST(:since AS timestamptz) AND s.occurred_at < CAST(:until AS timestamptz)
      AND s.destination_region IS NOT NULL AND p.account_no IS NOT NULL
), routes AS (
    SELECT account_no, origin_region, destination_region, count(*) AS parcels,
           (array_agg(waybill_no ORDER BY waybill_no))[1:{MOST_WAYBILLS}] AS waybill_nos
    FROM picked_up GROUP BY account_no, origin_region, destination_region
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY account_no ORDER BY parcels DESC, origin_region, destination_region) AS place
    FROM routes
)
SELECT account_no AS key,
       natural_id('{RoutesCounted.TYPE}/' || account_no || '/' || to_char(CAST(:month AS date), 'YYYY-MM')) AS event_id,
       json_build_object(
           'account_no', account_no, 'month', to_char(CAST(:month AS date), 'YYYY-MM'), 'parcels', sum(parcels),
           'routes', json_agg(json_build_object('origin_region', origin_region, 'destination_region', destination_region,
                                                'parcels', parcels, 'waybill_nos', waybill_nos) ORDER BY place)
                     FILTER (WHERE place <= {MOST_ROUTES})) AS data
FROM placed GROUP BY account_no ORDER BY account_no"""
