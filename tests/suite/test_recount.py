"""What the running suite answers equals an independent recount of the CSV files, to the fen, to the rank, to the task."""

import json
import random
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from tests.oracle.recount import shift
from tests.suite.conftest import Replayed

FIRST, LAST = "2015-01", "2018-12"


def months_between(first: str, last: str) -> list[str]:
    months = [first]
    while months[-1] < last:
        months.append(shift(months[-1], 1))
    return months


def instant(text: str) -> datetime:
    assert text.endswith("+08:00"), text
    return datetime.fromisoformat(text)


def keyed(items: list[dict[str, Any]], *names: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {tuple(item[name] for name in names): item for item in items}
    assert len(found) == len(items), "a row appears twice"
    return found


async def test_the_clock_stands_at_the_end_of_the_replay(replayed: Replayed) -> None:
    health = await replayed.suite.healthz()
    assert health is not None
    assert health["status"] == "ok"
    assert health["replay"]["state"] == "done"
    assert instant(health["clock"]) >= replayed.expected.end


@pytest.mark.row("C-42")
async def test_every_account_stands_where_the_files_put_it(replayed: Replayed) -> None:
    """C-42, the part written here: number, branch, district, outlet, opened_on, status; billing cycle and limits are nullable."""
    found = keyed(await replayed.suite.items("/customer/v1/accounts"), "account_no")
    expected = replayed.expected.accounts
    assert {key[0] for key in found} == set(expected)
    for account_no, account in expected.items():
        item = found[account_no,]
        assert (item["branch_code"], item["outlet_code"], item["opened_on"]) == (
            account.branch_code, account.outlet_code, account.opened_on.isoformat(),
        )  # fmt: skip


async def test_every_month_of_every_account_is_exact_to_the_fen(replayed: Replayed) -> None:
    expected = replayed.expected
    first = min((month for months in expected.totals.values() for month in months), default=FIRST)
    last = expected.end.strftime("%Y-%m")
    asked = months_between(first, last)
    for account_no in expected.accounts:
        answer = await replayed.suite.get(f"/tiering/v1/accounts/{account_no}/freight", **{"from": asked[0], "to": asked[-1]})
        totals = expected.totals.get(account_no, {})
        assert [(m["month"], m["amount_fen"], m["charges"]) for m in answer["months"]] == [
            (month, *totals.get(month, (0, 0))) for month in asked
        ], account_no
        assert [m["closed"] for m in answer["months"]] == [month < last for month in asked]


@pytest.mark.row("T-01", "T-17")
async def test_every_tier_of_every_quarter_with_its_rank(replayed: Replayed) -> None:
    for quarter, tiers in replayed.expected.tiers.items():
        found = keyed(await replayed.suite.items("/tiering/v1/tiers", quarter=quarter), "account_no")
        assert {
            key[0]: (i["branch_code"], i["district_code"], i["service_tier"], i["rank"], i["amount_fen"])
            for key, i in found.items()
        } == {a: (t.branch_code, t.district_code, t.service_tier, t.rank, t.amount_fen) for a, t in tiers.items()}, quarter
    tiers = Counter(t.service_tier for ts in replayed.expected.tiers.values() for t in ts.values())
    assert set(tiers) == {"vip", "key", "general"}


@pytest.mark.row("T-07")
async def test_every_grade_of_every_month(replayed: Replayed) -> None:
    for month, grades in replayed.expected.grades.items():
        found = await replayed.suite.items("/tiering/v1/grades", month=month)
        assert {i["account_no"]: (i["grade"], i["average_fen"]) for i in found} == {
            a: (g.grade, g.average_fen) for a, g in grades.items()
        }, month


@pytest.mark.row("T-22", "T-23")
async def test_every_movement_once(replayed: Replayed) -> None:
    found = keyed(await replayed.suite.items("/tiering/v1/movements"), "movement_id")
    assert {
        key[0]: (
            i["account_no"], i["month"], i["kind"], i["zero_months"], i["previous_fen"], i["current_fen"], i["state"],
            instant(i["detected_at"]),
        )
        for key, i in found.items()
    } == {
        m.movement_id: (
            m.account_no, m.month, m.kind, m.zero_months, m.previous_fen, m.current_fen, m.state, m.detected_at,
        )
        for m in replayed.expected.movements
    }  # fmt: skip
    assert {m.kind for m in replayed.expected.movements} == {"fall_over_half", "zero_month"}


@pytest.mark.row("T-11", "T-16")
async def test_every_band_of_every_quarter_and_every_entitlement_of_the_last(replayed: Replayed) -> None:
    for quarter, bands in replayed.expected.bands.items():
        found = await replayed.suite.items("/tiering/v1/bands", quarter=quarter)
        assert {i["account_no"]: i["band"] for i in found} == bands, quarter
    assert {band for bands in replayed.expected.bands.values() for band in bands.values()} == {"A", "B", "C"}
    entitled = keyed(await replayed.suite.items("/tiering/v1/entitlements"), "account_no")
    assert {key[0]: (i["green_channel"], i["special_claims"], i["points_plan"]) for key, i in entitled.items()} == (
        replayed.expected.entitled
    )


@pytest.mark.row("T-24", "T-25", "T-26")
async def test_every_quarterly_movement_once(replayed: Replayed) -> None:
    found = keyed(await replayed.suite.items("/tiering/v1/quarter-movements"), "movement_id")
    assert {
        key[0]: (
            i["account_no"], i["branch_code"], i["quarter"], i["kind"], i["place"], i["previous_fen"], i["current_fen"],
            instant(i["detected_at"]),
        )
        for key, i in found.items()
    } == {
        m.movement_id: (
            m.account_no, m.branch_code, m.quarter, m.kind, m.place, m.previous_fen, m.current_fen, m.detected_at,
        )
        for m in replayed.expected.quarter_movements
    }  # fmt: skip
    assert {"riser", "decliner"} <= {m.kind for m in replayed.expected.quarter_movements}


@pytest.mark.row("T-31", "T-33", "T-34", "T-35", "R-41", "X-01", "X-03", "X-04")
async def test_every_task_once_with_its_role_unit_helpers_and_due_instant(replayed: Replayed) -> None:
    """R-41, the part written here: one task per movement, monthly or quarterly, due at the quarter's end, then overdue."""
    found = keyed(await replayed.suite.items("/retention/v1/tasks"), "task_id")
    assert {
        key[0]: (
            i["kind"], i["account_no"], i["role"], i["unit_code"], i["state"], instant(i["due_at"]), i["reason"]["movement_id"],
            i["reason"]["month"], i["reason"]["quarter"], i["reason"]["kind"],
            [(one["role"], one["unit_code"]) for one in i["assist"]],
        )
        for key, i in found.items()
    } == {
        t.task_id: (
            t.kind, t.account_no, t.role, t.unit_code, t.state, t.due_at, t.movement_id, t.month, t.quarter, t.movement_kind,
            t.helpers,
        )
        for t in replayed.expected.tasks
    }  # fmt: skip


@pytest.mark.row("K-41")
async def test_every_problem_parcel_ticket_once(replayed: Replayed) -> None:
    """K-41, the part written here: problem parcels open by themselves, one ticket per waybill and cause."""
    found = keyed(await replayed.suite.items("/tickets/v1/tickets", **{"class": "problem_parcel"}), "ticket_id")
    assert {
        key[0]: (i["waybill_no"], i["account_no"], i["cause_hint"], instant(i["opened_at"]), i["state"], i["priority"])
        for key, i in found.items()
    } == {
        t.ticket_id: (t.waybill_no, t.account_no, t.cause_hint, t.opened_at, t.state, "P3")
        for t in replayed.expected.tickets
    }  # fmt: skip
    for ticket in replayed.expected.tickets:
        if ticket.due_at is not None:
            assert instant(found[ticket.ticket_id,]["due_at"]) == ticket.due_at


@pytest.mark.row("C-18", "X-23")
async def test_the_360_says_what_the_owners_say(replayed: Replayed) -> None:
    """C-18, the part written here: account, tiers, freight, movements, tasks, tickets and parcels in one call."""
    accounts = random.Random(3).sample(sorted(replayed.expected.accounts), 40)
    tiers_ever = [t for ts in replayed.expected.tiers.values() for t in ts.values()]
    accounts += sorted({t.account_no for t in tiers_ever if t.service_tier == "vip"})[:10]
    suite = replayed.suite
    health = await suite.healthz()
    assert health is not None
    running = health["clock"][:7]
    for account_no in accounts:
        page = await suite.get(f"/customer/v1/accounts/{account_no}/360")
        tiers = await suite.get(f"/tiering/v1/accounts/{account_no}/tiers")
        assert {name: page["tiers"][name] for name in ("service_tier", "contribution_grade")} == {
            name: tiers[name] for name in ("service_tier", "contribution_grade")
        }
        months = [shift(running, -n) for n in range(13, -1, -1)]
        freight = await suite.get(f"/tiering/v1/accounts/{account_no}/freight", **{"from": months[0], "to": months[-1]})
        assert sorted((m["month"], m["amount_fen"]) for m in page["freight"]["months"]) == [
            (m["month"], m["amount_fen"]) for m in freight["months"]
        ]
        expected = replayed.expected
        assert {m["movement_id"] for m in page["movements"]["items"]} == {
            m.movement_id for m in expected.movements if m.account_no == account_no and m.state == "open"
        }
        assert {t["task_id"]: t["state"] for t in page["tasks"]["items"]} == {
            t.task_id: t.state for t in expected.tasks if t.account_no == account_no and t.state in {"open", "overdue"}
        }
        assert {t["ticket_id"] for t in page["tickets"]["items"]} == {
            t.ticket_id for t in expected.tickets if t.account_no == account_no and t.state == "open"
        }
        assert page["unit_path"][-1] == (page["account"]["outlet_code"] or page["account"]["branch_code"] or expected.root_unit)
        assert all(page[name]["as_of"] for name in ("freight", "parcels") if page[name].get("items") or page[name].get("months"))


async def test_nothing_is_parked_and_nothing_waits(replayed: Replayed) -> None:
    status = json.loads(replayed.suite.crm("status", "--json"))
    assert {name: (s["lag"], s["outbox_pending"], s["parked"]) for name, s in status["services"].items()} == dict.fromkeys(
        ("customer", "tiering", "retention", "tickets"), (0, 0, 0)
    )
