"""Jumps of risk, the early-warning list, evaluations and features: what events and quarters add to the scores."""

from datetime import date
from typing import Any

import pytest

from services.tiering import facts
from services.tiering.scores import evaluations, reading, rules
from shared.db import Database, Scope
from shared.events import TicketOpened, TicketRefuted, TicketResolved
from shared.ids import natural_id
from shared.paging import PageRequest
from tests.deliveries import deliver
from tests.tiering.make import World, account, at, charge


async def tell(world: World, name: str, event: type[Any] = TicketOpened, version: int = 1, **more: Any) -> None:
    given = {
        "ticket_id": natural_id("ticket", name, "x"),
        "ticket_class": "problem_parcel",
        "cause_hint": "damaged",
        "waybill_no": name,
        "account_no": "A",
        "branch_code": "B1",
        "priority": "P2",
        "opened_at": at("2018-02-10"),
        "due_at": at("2018-02-20"),
        "state": "open",
        "changed_at": at("2018-02-10"),
        "version": version,
    }
    async with world.db.transaction() as session:
        await facts.note_tickets(session, [deliver(event(**given | more), version)])


async def shipped(world: World, *names: str) -> None:
    """Each named account ships 100 yuan in January 2018, which is closed and scored."""
    await world.open(*(account(name) for name in names))
    for name in names:
        await world.post(charge(f"{name}-1", name, 10_000, at("2018-01-10")))
    await world.run("2018-02-01")


async def risk(world: World, account_no: str = "A") -> tuple[int, int]:
    (row,) = await world.rows(
        "SELECT risk, jump FROM scores WHERE account_no = :a AND month = (SELECT max(month) FROM score_models)", a=account_no
    )
    return row["risk"], row["jump"]


@pytest.mark.row("T-61")
@pytest.mark.parametrize(("days", "left"), [(0, 25), (29, 25), (30, 12), (59, 12), (60, 6), (89, 6), (90, 0), (400, 0), (-1, 0)])
def test_a_jump_fades_by_halves(days: int, left: int) -> None:
    assert rules.faded(25, days, 30) == left


@pytest.mark.row("T-61")
async def test_a_damaged_parcel_raises_the_risk_the_next_day_and_fades(world: World) -> None:
    await shipped(world, "A", "B")
    base, _ = await risk(world)
    await tell(world, "W1")
    await world.run("2018-02-11")
    assert await risk(world) == (base + 25, 25)
    assert await risk(world, "B") == (base, 0)
    told = await world.events("tiering.scores-changed.v1")
    assert [(event["account_no"], event["churn_risk"], event["version"]) for event in told[2:]] == [("A", base + 25, 2)]
    await world.run("2018-02-12")
    assert len(await world.events("tiering.scores-changed.v1")) == len(told), "nothing changed, nothing is said"
    (scores,) = [await read(world, "A")]
    (event,) = scores["churn"]["events"]
    assert (event["kind"], event["points"], event["left_points"]) == ("damaged", 25, 25)
    assert event["event_id"] == natural_id(TicketOpened.TYPE, str(natural_id("ticket", "W1", "x")), 1)


@pytest.mark.row("T-61")
async def test_what_is_left_of_a_jump_moves_over_to_the_next_months_scores(world: World) -> None:
    await shipped(world, "A")
    await tell(world, "W1", due_at=at("2018-04-01"))
    await world.run("2018-02-11")
    await world.run("2018-03-01")
    base = rules.rule_risk(rules.rule_reasons(recency=1, previous_fen=10_000, current_fen=0, months_12=1, age=1))
    assert await risk(world) == (base + 25, 25)
    await world.run_days("2018-03-12", "2018-03-13")
    assert await risk(world) == (base + 12, 12), "thirty days after the tenth at noon"


@pytest.mark.row("T-61")
async def test_the_statement_halves_every_thirty_days_to_the_second_and_lets_go_after_ninety(world: World) -> None:
    await shipped(world, "A", "B")
    await tell(world, "W1", opened_at=at("2018-02-10", "00:30:00"), due_at=at("2018-08-01"))
    await tell(world, "W2", opened_at=at("2018-02-10", "00:30:01"), due_at=at("2018-08-01"), account_no="B")
    for day, left in (("02-10", (25, 0)), ("03-11", (25, 25)), ("03-12", (12, 25)), ("05-10", (6, 6)), ("05-11", (0, 6))):
        await world.run(f"2018-{day}")
        assert ((await risk(world))[1], (await risk(world, "B"))[1]) == left, day


@pytest.mark.row("T-61")
@pytest.mark.parametrize(
    ("more", "points"),
    [
        ({"cause_hint": "lost"}, 30),
        ({"cause_hint": "late"}, 10),
        ({"cause_hint": "delayed"}, 10),
        ({"cause_hint": "refused"}, 0),
        ({"cause_hint": None, "ticket_class": "enquiry"}, 0),
        ({"cause_hint": None, "ticket_class": "enquiry", "due_at": at("2018-02-10", "23:00:00")}, 10),
        ({"cause_hint": "damaged", "due_at": at("2018-02-10", "23:00:00")}, 35),
    ],
)
async def test_each_event_has_its_points(world: World, more: dict[str, Any], points: int) -> None:
    """A ticket that is not resolved when it is due counts once more, as overdue."""
    await shipped(world, "A")
    base, _ = await risk(world)
    await tell(world, "W1", **more)
    await world.run("2018-02-11")
    assert await risk(world) == (base + points, points)


@pytest.mark.row("T-61")
@pytest.mark.parametrize(("resolved", "points"), [("22:59:59", 0), ("23:00:00", 0), ("23:00:01", 10)])
async def test_a_ticket_that_was_resolved_is_overdue_only_where_that_came_too_late(
    world: World, resolved: str, points: int
) -> None:
    await shipped(world, "A")
    base, _ = await risk(world)
    enquiry = {"cause_hint": None, "ticket_class": "enquiry", "due_at": at("2018-02-10", "23:00:00")}
    await tell(world, "W1", **enquiry)
    await tell(world, "W1", TicketResolved, 2, state="resolved", changed_at=at("2018-02-10", resolved), cause_code="other",
               **enquiry)  # fmt: skip
    await world.run("2018-02-11")
    assert await risk(world) == (base + points, points)


@pytest.mark.row("T-61")
async def test_a_refuted_ticket_takes_its_points_back(world: World) -> None:
    await shipped(world, "A")
    base, _ = await risk(world)
    await tell(world, "W1")
    await world.run("2018-02-11")
    await tell(world, "W1", TicketRefuted, 2, state="refuted", changed_at=at("2018-02-11"))
    await world.run("2018-02-12")
    assert await risk(world) == (base, 0)


async def test_a_risk_never_exceeds_a_hundred(world: World) -> None:
    await shipped(world, "A")
    for n in range(9):
        await tell(world, f"W{n}")
    await world.run("2018-02-11")
    assert await risk(world) == (100, 100)


async def read(world: World, account_no: str) -> dict[str, Any]:
    async with world.db.transaction() as session:
        return await reading.read_scores(session, account_no)


@pytest.mark.row("R-78")
async def test_the_early_warning_list_is_sorted_by_clv_at_risk_scoped_and_paged(world: World, web: Database) -> None:
    await world.open(*(account(f"A{n}", "B1" if n % 2 else "B3") for n in range(6)))
    for n in range(6):
        await world.post(charge(f"{n}", f"A{n}", 10_000 * (n + 1), at("2018-01-10")))
    await world.run("2018-02-01")
    await tell(world, "W1", account_no="A1")
    await tell(world, "W2", account_no="A1")
    await world.run("2018-02-11")
    rows = await world.rows("SELECT account_no, clv_fen, risk, at_risk_fen FROM scores WHERE month = '2018-01-01'")
    order = [row["account_no"] for row in sorted(rows, key=lambda row: (-(row["clv_fen"] * row["risk"]), row["account_no"]))]
    assert order[0] == "A1", "not the largest, but the most at risk"
    found: list[str] = []
    after = None
    async with web.transaction(Scope("HQ", everything=True)) as session:
        while True:
            answer = await reading.list_early_warnings(session, "HQ", PageRequest(2, after))
            found += [item["account_no"] for item in answer["items"]]
            last = answer["items"][-1]
            after = (-last["at_risk_fen"], last["account_no"])
            if answer["next_cursor"] is None:
                break
    assert found == order
    async with web.transaction(Scope("D1")) as session:
        answer = await reading.list_early_warnings(session, "D1", PageRequest(50, None))
    assert [item["account_no"] for item in answer["items"]] == [name for name in order if int(name[1]) % 2]


@pytest.mark.row("T-62", "T-63")
@pytest.mark.parametrize(
    ("fifth", "quarter_fen", "previous_fen", "money"),
    [
        (3, 100, 100, 60),
        (3, 120, 100, 70),
        (3, 119, 100, 60),
        (3, 80, 100, 50),
        (3, 81, 100, 60),
        (5, 120, 0, 100),
        (1, 0, 100, 10),
    ],
)
def test_the_money_part_is_the_fifth_and_its_trend(fifth: int, quarter_fen: int, previous_fen: int, money: int) -> None:
    assert rules.money_part(fifth, quarter_fen, previous_fen) == money


@pytest.mark.row("T-62")
def test_a_part_without_data_does_not_count_as_zero() -> None:
    assert rules.evaluation({"money": 60, "service": 100, "satisfaction": None}) == (50 * 60 + 30 * 100) // 80
    assert rules.evaluation({"money": 60, "service": None, "satisfaction": None}) == 60
    assert rules.evaluation({"money": 60, "service": 100, "satisfaction": 0}) == (50 * 60 + 30 * 100) // 100


@pytest.mark.row("T-62", "T-63")
async def test_each_relationship_is_evaluated_after_each_quarter(world: World) -> None:
    await world.open(account("A", "B1"), account("B", "B3"), account("C", "B3"), account("SILENT"))
    for month in (1, 2, 3, 4, 5, 6):
        await world.post(charge(f"A{month}", "A", 10_000 if month < 4 else 12_000, at(f"2018-{month:02d}-10")))
    await world.post(charge("B1", "B", 50_000, at("2018-02-10")))
    await world.post(charge("C1", "C", 10_000, at("2018-02-10")), charge("C2", "C", 8_000, at("2018-05-10")))
    await tell(world, "W1", opened_at=at("2018-01-10"), due_at=at("2018-01-15"))
    await tell(world, "W1", TicketResolved, 2, state="resolved", opened_at=at("2018-01-10"), due_at=at("2018-01-15"),
               changed_at=at("2018-01-16"), cause_code="packing")  # fmt: skip
    await tell(world, "W2", cause_hint="late", opened_at=at("2018-04-01", "00:00:00"))
    await tell(world, "W3", opened_at=at("2018-01-11"), due_at=at("2018-01-12"))
    await tell(world, "W3", TicketRefuted, 2, state="refuted", opened_at=at("2018-01-11"), due_at=at("2018-01-12"),
               changed_at=at("2018-01-13"))  # fmt: skip
    for month in (2, 3):
        await world.run(f"2018-{month:02d}-01")
    assert await world.rows("SELECT * FROM evaluations") == []
    for month in (4, 5, 6, 7):
        await world.run(f"2018-{month:02d}-01")
    rows = {(row["account_no"], str(row["quarter"])): row for row in await world.rows("SELECT * FROM evaluations")}
    assert set(rows) == {(name, quarter) for name in ("A", "B", "C") for quarter in ("2018-01-01", "2018-04-01")}
    first = rows["A", "2018-01-01"]
    assert (first["late"], first["damaged"], first["overdue"], first["service"]) == (0, 1, 1, 70)
    assert first["satisfaction"] is None
    second = rows["A", "2018-04-01"]
    assert (second["late"], second["damaged"], second["overdue"], second["service"]) == (1, 0, 1, 80)
    assert (second["quarter_fen"], second["previous_fen"]) == (36_000, 30_000), "a fifth more exactly, and C a fifth less"
    for row in rows.values():
        (score,) = await world.rows(
            "SELECT money_score FROM scores WHERE account_no = :a AND month = CAST(:q AS date) + INTERVAL '2 months'",
            a=row["account_no"], q=row["quarter"],
        )  # fmt: skip
        assert row["money"] == rules.money_part(score["money_score"], row["quarter_fen"], row["previous_fen"])
        assert row["score"] == rules.evaluation({name: row[name] for name in ("money", "service", "satisfaction")})
    gone = rows["B", "2018-04-01"]
    assert gone["service"] is None, "neither freight nor problems: no data, not a hundred"
    async with world.db.transaction() as session:
        last = (await reading.list_evaluations(session, "HQ", PageRequest()))["items"]
        of_d2 = (await reading.list_evaluations(session, "D2", PageRequest(), quarter="2018-Q1"))["items"]
    assert [(one["account_no"], one["quarter"]) for one in last] == [(name, "2018-Q2") for name in "ABC"]
    assert [(one["account_no"], one["quarter"]) for one in of_d2] == [(name, "2018-Q1") for name in "BC"]


OTHER_QUARTERS = (("2017-12-31", "23:59:59"), ("2018-04-01", "00:00:00"))


@pytest.mark.row("T-19", "T-20")
async def test_a_quarters_charges_say_how_an_account_ships_and_what_it_needs(world: World) -> None:
    await world.open(account("A"), account("B"), account("NAMELESS"))
    for n, (product, day, time) in enumerate(
        [
            ("express", "2018-01-01", "09:10:00"),
            ("express", "2018-02-05", "11:59:59"),
            ("express", "2018-03-06", "12:00:00"),
            ("freight", "2018-03-12", "08:00:00"),
        ]
    ):
        await world.post(charge(f"A{n}", "A", 1000, at(day, time), product=product))
    await world.post(
        charge("A4", "A", 1000, at("2018-03-13", "08:30:00")),
        *(charge(f"A{day}", "A", 1000, at(day, time), product="freight") for day, time in OTHER_QUARTERS),
        *(charge("A5", "A", fen, at("2018-03-14"), version, product="freight") for version, fen in ((1, 1000), (2, 0))),
        charge("B1", "B", 1000, at("2018-03-06", "23:00:00"), product="freight"),
        charge("N1", "NAMELESS", 1000, at("2018-03-11", "07:59:59")),
    )  # fmt: skip
    await tell(world, "W1", cause_hint="late")
    await tell(world, "W2", cause_hint="damaged")
    await tell(world, "W3", cause_hint="delayed")
    for day, time in OTHER_QUARTERS:
        await tell(world, f"W{day}", cause_hint="late", opened_at=at(day, time))
    await tell(world, "W4", cause_hint="late")
    await tell(world, "W4", TicketRefuted, version=2, cause_hint="late", state="refuted")
    await world.run("2018-04-01")
    rows = {row["account_no"]: row for row in await world.rows("SELECT * FROM behaviours WHERE quarter = '2018-01-01'")}
    a = rows["A"]
    assert (a["charges"], a["product"], a["product_percent"], a["special_percent"]) == (5, "express", 60, 25)
    assert (a["hour_from"], a["hour_percent"], a["weekday"], a["weekday_percent"]) == (8, 80, 1, 60)
    assert a["timeliness_percent"] == 66, "two of three: not what was refuted, nor what other quarters brought"
    assert (rows["B"]["special_percent"], rows["B"]["timeliness_percent"]) == (100, None)
    assert (rows["NAMELESS"]["product"], rows["NAMELESS"]["special_percent"]) == (None, None)
    assert (rows["NAMELESS"]["hour_from"], rows["NAMELESS"]["weekday"]) == (4, 7), "a Sunday in Shanghai"
    answer = await read(world, "A")
    assert answer["behaviour"]["addresses"] is None
    assert answer["needs"] == {"timeliness_percent": 66, "special_service_percent": 25, "price_sensitivity": None}


@pytest.mark.row("T-18")
async def test_the_parts_of_an_accounts_value_say_that_margin_has_no_data(world: World) -> None:
    await world.post(
        charge("A-0", "A", 7000, at("2017-01-31")),
        charge("A-2", "A", 200, at("2017-02-01")),
        charge("A-3", "A", 30, at("2018-01-11")),
    )
    await shipped(world, "A")
    answer = await read(world, "A")
    assert answer["parts"] == {"frequency": 3, "amount_fen": 10_230, "margin_fen": None}, "of the twelve months to the close"
    assert answer["clv"]["model"] == "average"
    assert answer["clv"]["fallback_reason"] == "1 accounts with repeat months, 200 are needed"
    nothing = await read(world, "UNKNOWN")
    assert (nothing["month"], nothing["clv"], nothing["churn"]) == (None, None, None)


async def test_the_quarter_of_an_evaluation_ends_with_its_last_instant(world: World) -> None:
    """A ticket of 1 April 00:00 belongs to the second quarter, whatever the zone of the server."""
    await shipped(world, "A")
    await tell(world, "LAST", cause_hint="late", opened_at=at("2018-03-31", "23:59:59"), due_at=at("2018-04-10"))
    await tell(world, "NEXT", cause_hint="late", opened_at=at("2018-04-01", "00:00:00"), due_at=at("2018-04-10"))
    await world.run("2018-04-01")
    async with world.db.transaction() as session:
        await evaluations.evaluate(session, date(2018, 3, 1), at("2018-04-01", "00:30:00"))
    (row,) = await world.rows("SELECT late FROM evaluations")
    assert row["late"] == 1
