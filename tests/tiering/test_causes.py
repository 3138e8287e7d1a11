"""Why freight moved: asked, or inferred with the ids that say so; judged by people; the hit rate."""

from datetime import date
from typing import Any

import pytest

from shared.events.retention import TaskOpened
from shared.events.tickets import Route, RoutesCounted, TicketOpened, TicketRefuted
from shared.ids import natural_id
from tests.serving import bearer
from tests.tiering.make import World, account, at, charge
from tests.tiering.test_facts import contact, happen, task, ticket
from tests.tiering.test_routes import Desk
from tests.tiering.test_standing import desk

__all__ = ["desk"]


def movement(account_no: str, month: str = "2018-03") -> str:
    return str(natural_id("movement", account_no, month, 1))


async def causes(world: World, account_no: str) -> dict[str, dict[str, Any]]:
    rows = await world.rows(
        "SELECT * FROM movement_causes WHERE account_no = :account AND origin = 'inferred'", account=account_no
    )
    return {row["cause"]: row for row in rows}


async def fall(world: World, *names: str, product: str | None = None) -> None:
    """Freight of January and February, and a third of it in March; everything closed."""
    more = {"product": product, "weight_grams": 1000}
    for name in names:
        for month, count in ((1, 6), (2, 6), (3, 2)):
            await world.post(
                *(charge(f"{name}-{month}-{n}", name, 1000, at(f"2018-0{month}-1{n}"), **more) for n in range(count))
            )


async def close(world: World) -> None:
    for day in ("2018-02-01", "2018-03-01", "2018-04-01"):
        await world.run(day)


@pytest.mark.row("T-28")
async def test_tickets_speak_where_they_are_of_these_two_months_and_stand(world: World) -> None:
    await world.open(account("V"), account("W"))
    await fall(world, "V", "W")
    late = [
        ticket(TicketOpened, "open", ticket_id=natural_id("ticket", n, "late"), opened_at=opened, account_no=who)
        for n, (who, opened) in enumerate(
            [
                ("V", at("2018-02-01", "00:00:00")), ("V", at("2018-03-31", "23:59:59")), ("V", at("2018-01-31", "23:59:59")),
                ("V", at("2018-04-01", "00:00:00")), ("W", at("2018-03-05")),
            ]
        )
    ]  # fmt: skip
    gone = {
        "ticket_id": natural_id("ticket", "X", "lost"),
        "cause_hint": "lost",
        "opened_at": at("2018-03-05"),
        "account_no": "V",
    }
    await happen(
        world,
        *late,
        ticket(TicketOpened, "open", **gone), ticket(TicketRefuted, "refuted", version=2, **gone),
        ticket(TicketOpened, "open", ticket_id=natural_id("ticket", "Y"), ticket_class="complaint", cause_hint=None,
               opened_at=at("2018-03-05"), account_no="W"),
        ticket(TicketOpened, "open", ticket_id=natural_id("ticket", "Z"), cause_hint="lost", opened_at=at("2018-02-05"),
               account_no="W"),
    )  # fmt: skip
    await close(world)
    found = await causes(world, "V")
    assert set(found) == {"late_parcels"}, "one refuted, two outside of the two months"
    assert found["late_parcels"]["evidence"] == {
        "tickets": 2,
        "ticket_ids": [str(natural_id("ticket", n, "late")) for n in (0, 1)],
    }
    assert set(await causes(world, "W")) == {"complaint", "lost_parcels"}, "one late parcel is everybody's"


@pytest.mark.row("T-28")
async def test_the_ledger_speaks_of_prices_and_products(world: World) -> None:
    prices = {"DEARER": (110, 6, 6, 1000), "SAME": (109, 6, 6, 1000), "PARCEL": (110, 3, 6, None), "FEW": (110, 2, 6, None)}
    products = {
        "DROPS": ((1000, 2000), (700, 400)), "EDGE": ((7000, 3000), (4900, 1)), "SMALL": ((7100, 2900), (4970, 1)),
        "LEFT": ((1000, 2000), (700, 401)), "LESS": ((1000, 2000), (699, 1)),
    }  # fmt: skip
    parcels = {"THREE": (1600, 1600), "TWO": (2100,)}
    await world.open(*(account(name) for name in (*prices, *products, *parcels)))
    for name, (factor, january, february, grams) in prices.items():
        old, new = [(1, n, 1000) for n in range(january)], [(2, n, 10 * factor) for n in range(february)]
        charges = [(*one, grams) for one in (*old, *new, (3, 0, 10 * factor))]
        await world.post(
            *(charge(f"{name}-{m}-{n}", name, fen, at(f"2018-0{m}-1{n}"), weight_grams=grams) for m, n, fen, grams in charges)
        )
    for name, february in parcels.items():
        lines = [*((1, n, 1000) for n in range(3)), *((2, n, fen) for n, fen in enumerate(february)), (3, 0, 100)]
        await world.post(*(charge(f"{name}-{m}-{n}", name, fen, at(f"2018-0{m}-1{n}")) for m, n, fen in lines))
    before, after = at("2018-02-03"), at("2018-03-03")
    for name, ((rest, cold), (rest_left, cold_left)) in products.items():
        lines = [
            ("1", rest, before, "STD"),
            ("2", cold, before, "COLD"),
            ("3", rest_left, after, "STD"),
            ("4", cold_left, after, "COLD"),
        ]
        await world.post(*(charge(f"{name}-{no}", name, fen, when, product=product) for no, fen, when, product in lines))
    await close(world)
    dearer = (await causes(world, "DEARER"))["price_rise"]["evidence"]
    assert (dearer["per"], dearer["before_fen"], dearer["after_fen"], len(dearer["charge_nos"])) == ("kg", 1000, 1100, 7)
    parcel = (await causes(world, "PARCEL"))["price_rise"]["evidence"]
    assert (parcel["per"], parcel["before_fen"], parcel["after_fen"]) == ("parcel", 1000, 1100), "weights are missing"
    assert "price_rise" not in await causes(world, "SAME"), "9 % are below 10"
    assert "price_rise" not in await causes(world, "FEW"), "two charges say nothing of a price"
    assert (await causes(world, "THREE"))["price_rise"]["evidence"]["after_fen"] == 1100, "three charges do, also the newer ones"
    assert "price_rise" not in await causes(world, "TWO"), "two newer charges say as little"
    assert (await causes(world, "DROPS"))["product_dropped"]["evidence"] == {
        "product": "COLD", "previous_fen": 2000, "current_fen": 400, "charge_nos": ["DROPS-2"],
    }  # fmt: skip
    assert "product_dropped" in await causes(world, "EDGE"), "30 % of the month before"
    assert "product_dropped" not in await causes(world, "SMALL"), "29 % of the month before"
    assert "product_dropped" not in await causes(world, "LEFT"), "more than a fifth is left"
    assert "product_dropped" not in await causes(world, "LESS"), "everything fell, not this product"


def routes(account_no: str, month: int, **parcels: int) -> RoutesCounted:
    """So many parcels to each region."""
    counted = tuple(
        Route(origin_region="SP", destination_region=name, parcels=count, waybill_nos=(f"W-{name}-{month}",))
        for name, count in parcels.items()
    )
    return RoutesCounted(account_no=account_no, month=date(2018, month, 1), parcels=sum(parcels.values()), routes=counted)


@pytest.mark.row("T-28")
async def test_a_lost_route_speaks_when_the_parcels_of_the_month_are_counted(world: World) -> None:
    """Thirty percent of the month before, a fifth of it left, seventy percent of the rest: each to the parcel."""
    names = {
        "LOST": ({"RJ": 30, "MG": 70}, {"RJ": 6, "MG": 49}),
        "LARGER": ({"RJ": 29, "MG": 71}, {"RJ": 0, "MG": 71}),
        "LEFT": ({"RJ": 30, "MG": 70}, {"RJ": 7, "MG": 49}),
        "ALL": ({"RJ": 30, "MG": 70}, {"RJ": 6, "MG": 48}),
        "FEW": ({"RJ": 2, "MG": 2}, {"MG": 2}),
        "THREE": ({"RJ": 3, "MG": 3}, {"MG": 3}),
        "ONLY": ({"RJ": 9}, {"MG": 9}),
    }
    await world.open(*(account(name) for name in names))
    await fall(world, *names)
    await happen(world, *(routes(name, 2, **before) for name, (before, _) in names.items()))
    await close(world)
    assert "route_lost" not in await causes(world, "LOST"), "the month was not counted yet"
    known = {name: {place: count for place, count in after.items() if count} for name, (_, after) in names.items()}
    await happen(world, *(routes(name, 3, **after) for name, after in known.items()))
    await world.run("2018-04-02")
    found = {name: (await causes(world, name)).get("route_lost") for name in names}
    assert [name for name, cause in found.items() if cause] == ["LOST", "THREE"]
    assert found["LOST"] is not None
    assert found["LOST"]["evidence"] == {
        "origin_region": "SP", "destination_region": "RJ", "previous_parcels": 30, "current_parcels": 6,
        "waybill_nos": ["W-RJ-2"],
    }  # fmt: skip
    await world.run("2018-04-03")
    assert len(await world.rows("SELECT 1 FROM movement_causes WHERE cause = 'route_lost'")) == 2


@pytest.mark.row("T-28")
async def test_the_shipper_is_asked_and_people_judge(world: World, desk: Desk) -> None:
    await world.open(account("V"))
    await fall(world, "V")
    damaged = ticket(TicketOpened, "open", cause_hint="damaged", opened_at=at("2018-03-05"))
    await happen(world, damaged)
    await close(world)
    path = f"/v1/movements/{movement('V')}/causes"
    (inferred,) = (await desk.get(path))["items"]
    assert (inferred["cause"], inferred["state"], inferred["evidence"]["tickets"]) == ("damaged_parcels", "proposed", 1)
    assert await desk.get(path, "branch_manager", "B3") == 404
    assert await desk.get(f"/v1/movements/{movement('nobody')}/causes") == 404

    await happen(
        world, task(TaskOpened), contact(1, cause_code="competitor"), contact(2, cause_code="damaged_parcels"), contact(3),
        contact(4, cause_code="competitor"),
    )  # fmt: skip
    await happen(world, contact(5, cause_code="competitor"))
    asked, also, _ = (await desk.get(path))["items"]
    assert [asked["cause"], also["cause"]] == ["competitor", "damaged_parcels"]
    assert asked["evidence"] == {"contact_ids": [str(natural_id("contact", 1))]}
    assert asked["state"] == "confirmed"

    async def judge(cause: str, verdict: str, unit: str = "B1") -> Any:
        header = bearer(desk.settings, "branch_manager", unit)
        answer = await desk.client.post(f"/v1/causes/{cause}/verdict", json={"verdict": verdict}, headers=header)
        return answer.json()["state"] if answer.status_code == 200 else answer.status_code

    quality = "/v1/causes/quality?from=2018-03&to=2018-03"
    assert (await desk.items(quality))[0]["hit_rate"] is None, "nobody has judged yet: no data, not 0"
    assert await judge(inferred["cause_id"], "refuted") == "refuted"
    assert (await desk.items(quality))[0]["hit_rate"] == 0
    assert await judge(inferred["cause_id"], "confirmed") == "confirmed"
    assert await judge(inferred["cause_id"], "confirmed", unit="B3") == 404
    assert await judge(inferred["cause_id"], "perhaps") == 422
    assert await judge(asked["cause_id"], "refuted") == 409
    assert await desk.items(quality) == [
        {"cause": "damaged_parcels", "inferred": 1, "confirmed": 1, "refuted": 0, "hit_rate": 1.0, "asked_too": 1, "agreed": 1}
    ]
    assert await desk.items("/v1/causes/quality?from=2018-02&to=2018-02") == []
    assert await desk.get("/v1/causes/quality?from=2018-03&to=2018-02") == 422
