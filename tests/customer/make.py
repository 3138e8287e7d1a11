"""Builders of what customer receives."""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text

from services.customer.accounts import Said
from services.customer.organisation import Unit
from services.customer.sealing import Seal
from shared import events
from shared.clock import SHANGHAI
from shared.db import Database
from shared.events.shipments import Destination, Origin
from shared.events.tiering import ContributionGrade, ServiceTier
from shared.ids import natural_id
from shared.months import month_text

SEAL = Seal(b"a data key of thirty-two bytes or more")
UNITS = (
    Unit("HQ", "hq", None, "Headquarters"),
    Unit("D1", "district", "HQ", "South"),
    Unit("BR-1", "branch", "D1", "Harbour"),
    Unit("OUT-1", "outlet", "BR-1", "Pier 3"),
    Unit("BR-2", "branch", "D1", "Hill"),
    Unit("D2", "district", "HQ", "North"),
    Unit("BR-3", "branch", "D2", "Lake"),
)


def at(day: str, clock: str = "10:00:00") -> datetime:
    """An instant of Asia/Shanghai."""
    return datetime.fromisoformat(f"{day}T{clock}+08:00")


def said(
    account_no: str = "A1", opened_on: str = "2017-05-04", branch: str | None = "BR-1", outlet: str | None = None, **more: Any
) -> Said:
    from_on = more.pop("from_on", None)
    return Said(account_no, date.fromisoformat(opened_on), branch, outlet, from_on and date.fromisoformat(from_on), more)


def scan(
    waybill_no: str = "W1",
    status: str = "PICKED_UP",
    occurred_at: datetime = at("2018-03-01"),
    account_no: str | None = "A1",
    branch: str | None = "BR-1",
) -> events.ShipmentStatusChanged:
    return events.ShipmentStatusChanged(
        waybill_no=waybill_no,
        account_no=account_no,
        status=status,
        occurred_at=occurred_at,
        origin=Origin(branch=branch, city="", region=""),
        destination=Destination(city="", region=""),
        pieces=1,
    )


def charge(
    charge_no: str = "CH-1",
    version: int = 1,
    amount_fen: int = 1000,
    charged_at: datetime = at("2018-03-01"),
    account_no: str = "A1",
) -> events.FreightCharged:
    return events.FreightCharged(
        charge_no=charge_no,
        version=version,
        waybill_no=f"W-{charge_no}",
        account_no=account_no,
        amount_fen=amount_fen,
        charged_at=charged_at,
    )


def decision_id(account_no: str, month: date) -> str:
    return str(natural_id("decision", account_no, month_text(month)))


def tiers(
    account_no: str = "A1", month: date = date(2018, 3, 1), quarter: date | None = date(2018, 1, 1), **more: Any
) -> events.TiersChanged:
    closed_at = datetime(month.year, month.month, 1, 0, 30, tzinfo=SHANGHAI) + timedelta(days=31)
    tier = quarter and ServiceTier(
        service_tier="vip",
        rank=3,
        amount_fen=70_000,
        quarter=quarter,
        since=at("2018-04-01", "00:30:00"),
        decision_id=natural_id("decision", account_no, month_text(date(quarter.year, quarter.month + 2, 1))),
        band="A",
        focus_general=False,
        green_channel=True,
        special_claims=True,
        points_plan="vip",
    )
    grade = ContributionGrade(
        grade=more.get("grade", "gold"),
        month=month,
        average_fen=23_333,
        since=at("2018-04-01", "00:30:00"),
        decision_id=natural_id("decision", account_no, month_text(month)),
        end="high",
    )
    return events.TiersChanged(
        account_no=account_no, month=month, decided_at=closed_at, service_tier=tier, contribution_grade=grade
    )


def closed(month: date = date(2018, 3, 1)) -> events.MonthClosed:
    closed_at = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, 0, 30, tzinfo=SHANGHAI)
    quarter = date(month.year, month.month - 2, 1) if month.month % 3 == 0 else None
    return events.MonthClosed(month=month, quarter=quarter, closed_at=closed_at, accounts=1)


def scores(account_no: str = "A1", version: int = 1, churn_risk: int = 12) -> events.ScoresChanged:
    return events.ScoresChanged(
        account_no=account_no,
        month=date(2018, 3, 1),
        version=version,
        scored_at=at("2018-04-01", "00:30:00"),
        recency_score=5,
        frequency_score=4,
        money_score=3,
        clv_fen=250_000,
        churn_risk=churn_risk,
        forecast_fen=20_000,
        forecast_low_fen=15_000,
        forecast_high_fen=25_000,
    )


def movement(
    event: type[Any] = events.MovementDetected,
    account_no: str = "A1",
    month: date = date(2018, 3, 1),
    version: int = 1,
    **more: Any,
) -> Any:
    movement_id = natural_id("movement", account_no, month_text(month), 1)
    given = {
        "movement_id": movement_id,
        "account_no": account_no,
        "month": month,
        "revision": 1,
        "kind": "fall_over_half",
        "zero_months": None,
        "previous_fen": 5000,
        "current_fen": 1000,
        "decided_previous_fen": 5000,
        "decided_current_fen": 1000,
        "state": "open",
        "withdrawn_reason": None,
        "detected_at": at("2018-04-01", "00:30:00"),
        "judged_at": at("2018-04-01", "00:30:00"),
        "decision_id": natural_id("movement-decision", account_no, month_text(month), 1),
        "service_tier": "vip",
        "branch_code": "BR-1",
        "district_code": "D1",
        "outlet_code": None,
        "version": version,
    }
    return event(**given | more)


def task(event: type[Any] = events.TaskOpened, account_no: str = "A1", version: int = 1, state: str = "open", **more: Any) -> Any:
    movement_id = natural_id("movement", account_no, "2018-03", 1)
    given = {
        "task_id": natural_id("task", str(movement_id)),
        "kind": "movement",
        "account_no": account_no,
        "role": "district_head",
        "unit_code": "D1",
        "state": state,
        "due_at": at("2018-07-01", "00:00:00"),
        "movement_id": movement_id,
        "month": date(2018, 3, 1),
        "movement_kind": "fall_over_half",
        "changed_at": at("2018-04-01", "00:30:00"),
        "version": version,
    }
    return event(**given | more)


def ticket(
    event: type[Any] = events.TicketOpened,
    waybill_no: str = "W1",
    version: int = 1,
    state: str = "open",
    account_no: str | None = "A1",
    **more: Any,
) -> Any:
    given = {
        "ticket_id": natural_id("ticket", waybill_no, "late"),
        "ticket_class": "problem_parcel",
        "cause_hint": "late",
        "waybill_no": waybill_no,
        "account_no": account_no,
        "branch_code": "BR-1",
        "priority": "P3",
        "opened_at": at("2018-03-05"),
        "due_at": at("2018-03-08", "16:00:00"),
        "state": state,
        "changed_at": at("2018-03-05"),
        "version": version,
    }
    return event(**given | more)


async def set_clock(database: Database, instant: datetime) -> None:
    """Drive the business clock to an instant."""
    async with database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO business_clock (at, driven) VALUES (:at, true) "
                "ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at, driven = true"
            ),
            {"at": instant},
        )
