"""A simulated history is the same for the same seed, ends with a closed month, and holds everything that rules look for."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from chinese_calendar import get_holiday_detail

from shared.events.freight import FreightCharged
from shared.events.shipments import ShipmentStatusChanged
from shared.history.csv_files import HistoryError
from shared.history.folder import FILE_NAMES, History, folder_digest, read_history
from shared.history.simulate import simulate
from shared.history.simulated_season import SPRING_FESTIVALS, day_weight, spring_festival
from shared.months import add_months, business_month

TODAY = date(2026, 4, 15)
DIAMOND_FEN, GOLD_FEN = 1_000_000, 200_000


@pytest.fixture(scope="module")
def history(simulated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    found = read_history(simulated_folder, tmp_path_factory.mktemp("rejected"))
    yield found
    found.close()


@dataclass
class Facts:
    """What the events of a history say: freight in fen by account and month, scans, days, late parcels."""

    freight: dict[str, Counter[date]] = field(default_factory=lambda: defaultdict(Counter))
    scans: Counter[str] = field(default_factory=Counter)
    ordered: Counter[date] = field(default_factory=Counter)
    late: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def facts(history: History) -> Facts:
    found = Facts()
    standing: dict[str, FreightCharged] = {}
    for instant, event in history.publications():
        if isinstance(event, FreightCharged):
            if event.version >= standing.get(event.charge_no, event).version:
                standing[event.charge_no] = event
        elif isinstance(event, ShipmentStatusChanged):
            assert event.promised_at
            found.scans[event.status] += 1
            if event.status == "CREATED":
                found.ordered[instant.date()] += 1
            if event.status == "DELIVERED" and event.occurred_at > event.promised_at:
                found.late.add(event.waybill_no)
    for charge in standing.values():
        found.freight[charge.account_no][business_month(charge.charged_at)] += charge.amount_fen
    return found


def months_of(history: History) -> list[date]:
    return [add_months(history.start.replace(day=1), n) for n in range(18)]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate(tmp_path / name, TODAY, accounts=20, months=4, seed=seed)
    contents = {n: [(tmp_path / n / f).read_bytes() for f in (*FILE_NAMES, "README.txt")] for n in "abc"}
    assert contents["a"] == contents["b"] != contents["c"]
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b") != folder_digest(tmp_path / "c")


def test_nothing_in_it_is_rejected_and_it_ends_with_the_last_closed_month(history: History) -> None:
    assert not history.counts.rejected
    assert (history.start.year, history.start.month) == (2024, 10)
    assert history.end == datetime.fromisoformat("2026-04-01T01:00:00+08:00")
    kinds = Counter(unit.kind for unit in history.units)
    assert kinds == {"hq": 1, "district": 3, "branch": 18, "outlet": 54}
    assert history.counts.accounts == 250
    assert any(account.outlet_code is None for account in history.accounts)


def test_it_says_that_it_is_simulated(simulated_folder: Path, history: History) -> None:
    assert "SIMULATED" in (simulated_folder / "README.txt").read_text()
    assert all("(simulated)" in (account.name or "") for account in history.accounts)
    assert all("(simulated)" in unit.name for unit in history.units)
    assert all(account.account_no.startswith("SIM") for account in history.accounts)


def test_all_grades_and_movements_occur(history: History, facts: Facts) -> None:
    freight = facts.freight
    months = months_of(history)
    sums = [sum(total[month] for month in months[n : n + 3]) for total in freight.values() for n in range(16)]
    diamond = sum(amount >= 3 * DIAMOND_FEN for amount in sums) / len(sums)
    gold = sum(3 * GOLD_FEN <= amount < 3 * DIAMOND_FEN for amount in sums) / len(sums)
    assert 0.002 < diamond < 0.08
    assert 0.08 < gold < 0.35
    pairs = [(t[a], t[b]) for t in freight.values() for a, b in pairwise(months)]
    assert 0.03 < sum(0 < 2 * now < before for before, now in pairs) / len(pairs) < 0.3
    assert 0.01 < sum(before > 0 == now for before, now in pairs) / len(pairs) < 0.2
    silent = sum(total[months[-1]] == total[months[-2]] == 0 for total in freight.values())
    returned = sum(
        any(t[a] == t[b] == 0 < t[c] and t[months[0]] for a, b, c in zip(months[1:], months[2:], months[3:], strict=False))
        for t in freight.values()
    )
    grown = sum(sum(t[m] for m in months[-3:]) > 2 * sum(t[m] for m in months[:3]) > 0 for t in freight.values())
    assert min(silent, returned, grown) > 3


def test_the_year_has_a_lull_and_a_peak(facts: Facts) -> None:
    days = facts.ordered
    usual = sum(days.values()) / len(days)
    festival = spring_festival(2025)
    assert sum(days[date(2025, 1, n)] for n in range(festival.day, festival.day + 3)) / 3 < usual * 0.35
    assert sum(days[date(2025, 11, n)] for n in range(11, 16)) / 5 > usual * 1.8
    weekday = sum(count for day, count in days.items() if day.weekday() == 4)
    assert weekday > 1.3 * sum(count for day, count in days.items() if day.weekday() == 6)


def test_troubles_come_at_realistic_rates(facts: Facts) -> None:
    scans = facts.scans
    parcels = scans["CREATED"]
    assert 0.015 < scans["DELAYED"] / parcels < 0.035
    assert 0.0005 < scans["DAMAGED"] / parcels < 0.005
    assert 0 < scans["LOST"] / parcels < 0.002
    assert 0.002 < scans["REFUSED"] / parcels < 0.007
    assert 0.015 < len(facts.late) / parcels < 0.06


def test_bills_are_mended_and_charged_late(simulated_folder: Path, history: History) -> None:
    with (simulated_folder / "shipments.csv").open() as file:
        own = {f"CH-{r['waybill_no']}": (r["account_no"], r["handed_over_at"][:7]) for r in csv.DictReader(file)}
    with (simulated_folder / "charges.csv").open() as file:
        charges = list(csv.DictReader(file))
    corrections = [r for r in charges if r["charge_no"] in own]
    assert any(r["version"] == "3" for r in corrections)
    assert any(r["amount"] == "0.00" for r in corrections)
    assert any(r["account_no"] != own[r["charge_no"]][0] for r in corrections)
    assert any(r["charged_at"][:7] != own[r["charge_no"]][1] for r in corrections)
    days = [(datetime.fromisoformat(r["published_at"]) - datetime.fromisoformat(r["charged_at"])).days for r in charges]
    late = [n for r, n in zip(charges, days, strict=True) if r["charge_no"].startswith("LC-")]
    assert min(days) >= 0
    assert 300 < max(late) <= 396
    assert 0.005 < len(charges) / history.counts.parcels < 0.05


def test_a_smallest_history_can_be_replayed(tmp_path: Path) -> None:
    simulate(tmp_path / "small", date(2026, 1, 1), accounts=1, months=1)
    small = read_history(tmp_path / "small", tmp_path)
    assert (small.start.year, small.start.month) == (2025, 12)
    assert small.end == datetime.fromisoformat("2026-01-01T01:00:00+08:00")


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    for numbers in ({"accounts": 0}, {"months": 0}, {"months": -1}, {"months": 1000}):
        with pytest.raises(HistoryError, match="at least 1"):
            simulate(tmp_path / "none", TODAY, **numbers)
    (tmp_path / "there").mkdir()
    with pytest.raises(HistoryError, match="exists already"):
        simulate(tmp_path / "there", TODAY, accounts=1, months=1)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_an_interrupted_simulation_leaves_no_folder(tmp_path: Path) -> None:
    def stop(done: int, months: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "half", TODAY, accounts=5, months=2, on_progress=stop)
    assert not (tmp_path / "half").exists()
    simulate(tmp_path / "half", TODAY, accounts=5, months=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half"]


def test_the_spring_festivals_are_holidays() -> None:
    assert [year for year, _, _ in SPRING_FESTIVALS] == list(range(2004, 2051))
    for year in range(2004, 2027):
        assert get_holiday_detail(spring_festival(year)) == (True, "Spring Festival")
    assert day_weight(spring_festival(2026)) < 0.2 < day_weight(date(2026, 3, 2)) < day_weight(date(2026, 11, 11))
