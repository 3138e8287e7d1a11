"""Scores: what each account is scored on, the rules, the models in use, and that a second run changes nothing."""

import asyncio
import struct
import subprocess
import sys
from datetime import date
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from services.tiering.policies.document import shipped
from services.tiering.scores import churning, estimating, inputs, jumps, reading, refresh, rules, writing
from services.tiering.scores.counting import gammagamma
from shared.db import Database
from shared.months import add_months
from shared.paging import PageRequest
from tests.tiering.make import World, account, at, charge
from tests.tiering.scoring import chances, expected_inputs, live


async def ship(world: World, account_no: str, first: str, amounts: list[int]) -> None:
    """Post one charge on the 5th of each month; 0 is none."""
    month = date.fromisoformat(f"{first}-01")
    for n, amount in enumerate(amounts):
        if amount:
            day = add_months(month, n).isoformat()[:7]
            await world.post(charge(f"{account_no}-{day}", account_no, amount, at(f"{day}-05")))


async def scored(world: World, account_no: str) -> dict[str, Any]:
    (row,) = await world.rows(
        "SELECT i.*, s.* FROM score_inputs i JOIN scores s USING (month, account_no) WHERE account_no = :a "
        "AND month = (SELECT max(month) FROM score_models)",
        a=account_no,
    )
    return row


HISTORIES = {
    "A": [100, 0, 300, 200, 0, 0],
    "B": [0, 0, 0, 0, 0, 900],
    "C": [500, 500, 500, 500, 500, 200],
    "D": [1000, 0, 0, 0, 0, 0],
    "E": [0, 70, 70, 0, 70, 70],
}


async def histories(world: World) -> None:
    await world.open(*(account(name, "B1") for name in HISTORIES))
    for name, amounts in HISTORIES.items():
        await ship(world, name, "2018-01", amounts)
    await world.run("2018-07-01")


@pytest.mark.row("T-18", "T-21")
async def test_an_account_is_scored_on_its_months_with_freight(world: World) -> None:
    await histories(world)
    for name, amounts in HISTORIES.items():
        row = await scored(world, name)
        wanted = expected_inputs(amounts)
        assert {key: row[key] for key in wanted} == wanted, name
    row = await scored(world, "A")
    assert row["log_gaps_ppm"] == round(1e6 * np.log(2))
    assert row["charges_12"] == 3


@pytest.mark.row("C-63", "T-21")
async def test_quintiles_are_of_the_whole_organisation_and_equal_values_score_alike(world: World) -> None:
    await world.open(*(account(f"Q{n}", ("B1", "B2", "B3")[n % 3]) for n in range(10)))
    for n in range(10):
        await ship(world, f"Q{n}", "2018-01", [100 * (n + 1) if n < 8 else 800])
    await world.run("2018-02-01")
    rows = await world.rows("SELECT account_no, recency_score, frequency_score, money_score FROM scores ORDER BY account_no")
    assert [row["money_score"] for row in rows] == [1, 1, 2, 2, 3, 3, 4, 4, 4, 4]
    (cuts,) = await world.rows("SELECT cuts FROM score_models")
    assert cuts["cuts"]["money"] == [200, 400, 600, 800]
    amounts = [min(100 * (n + 1), 800) for n in range(10)]
    assert [rules.quintile(amount, cuts["cuts"]["money"]) for amount in amounts] == [row["money_score"] for row in rows]
    assert {row["frequency_score"] for row in rows} == {1}, "who ships equally often is in one fifth"


@pytest.mark.row("T-60", "T-21")
@pytest.mark.parametrize(
    ("recency", "previous_fen", "current_fen", "months_12", "age", "risk"),
    [
        (0, 100, 100, 6, 5, 5),
        (0, 100, 81, 6, 5, 5),
        (0, 100, 80, 6, 5, 5),
        (0, 100, 79, 6, 5, 15),
        (0, 100, 50, 6, 5, 15),
        (0, 100, 49, 6, 5, 30),
        (1, 100, 0, 6, 6, 45),
        (2, 0, 0, 6, 11, 65),
        (2, 0, 0, 5, 11, 75),
        (3, 0, 0, 6, 11, 80),
        (5, 0, 0, 6, 11, 80),
        (6, 0, 0, 6, 11, 95),
        (30, 0, 0, 0, 35, 100),
    ],
)
async def test_the_rule_says_the_same_in_python_and_in_sql(
    world: World, recency: int, previous_fen: int, current_fen: int, months_12: int, age: int, risk: int
) -> None:
    row = {"recency": recency, "previous_fen": previous_fen, "months_12": months_12, "age": age}
    reasons = rules.rule_reasons(current_fen=current_fen, **row)
    assert rules.rule_risk(reasons) == risk
    values = ", ".join(f"{value} AS {name}" for name, value in {**row, "amount_fen": current_fen}.items())
    (found,) = await world.rows(f"SELECT {rules.RULE_RISK.format(i='i')} AS risk FROM (SELECT {values}) AS i")
    assert found["risk"] == risk


@pytest.mark.row("T-60")
async def test_a_model_in_use_judges_live_accounts_and_the_rule_those_silent_for_three_months(world: World) -> None:
    await world.open(account("TWO"), account("THREE"))
    await ship(world, "TWO", "2018-01", [100, 100])
    await ship(world, "THREE", "2018-01", [100])
    await world.run("2018-05-01")
    (model,) = await world.rows("SELECT cuts FROM score_models WHERE month = '2018-04-01'")
    params = {
        **writing.model_params({}, {"model": {"weights": [3.0, *[0.0] * 5]}}, model["cuts"]),
        **jumps.params(shipped("2008-new"), at("2018-05-01", "00:30:00")),
        "model_digest": b"x",
    }
    estimates = [(1, 1, 3, 1.0, 1.0, 0.5), (0, 0, 3, 1.0, 1.0, 0.5)]
    async with world.db.transaction() as session:
        assert await writing.write_scores(session, date(2018, 4, 1), estimates, params) == 2
    two, three = await scored(world, "TWO"), await scored(world, "THREE")
    assert (two["recency"], two["rule_risk"], two["base_risk"]) == (2, 65, 95), "1 / (1 + e^-3)"
    assert (three["recency"], three["rule_risk"], three["base_risk"]) == (3, 90, 90)


@pytest.mark.row("T-60")
def test_the_reasons_say_which_number_gave_which_points() -> None:
    reasons = rules.rule_reasons(recency=0, previous_fen=1000, current_fen=370, months_12=2, age=11)
    assert [tuple(reason) for reason in reasons] == [
        ("months_without_freight", 0, 5),
        ("fall_percent", 63, 25),
        ("months_with_freight_of_12", 2, 10),
    ]


@pytest.mark.row("C-63")
async def test_a_small_organisation_is_scored_by_averages_and_says_so(world: World) -> None:
    await histories(world)
    (model,) = await world.rows("SELECT * FROM score_models ORDER BY month DESC LIMIT 1")
    assert model["purchase_model"] == "average"
    assert "200 are needed" in model["fallback_reason"]
    row = await scored(world, "C")
    expected, silence = rules.average_estimate(5, 5, 5, 12)
    assert row["expected_months"] == pytest.approx(expected)
    assert row["silence"] == pytest.approx(silence)
    parts = [rules.average_estimate(5, 5, 5, n)[0] for n in (0, 3, 6, 9, 12)]
    discounted = sum((parts[n + 1] - parts[n]) * 1.1 ** (-(3 * n + 1.5) / 12) for n in range(4))
    assert row["clv_fen"] == round(discounted * 2700 / 6)
    by_name = {name: await scored(world, name) for name in HISTORIES}
    assert [by_name[name]["recency_score"] for name in "DAC"] == [1, 2, 3], "who shipped lately scores higher"
    assert [by_name[name]["frequency_score"] for name in "BAEC"] == [1, 3, 4, 5], "and who ships more often"


@pytest.fixture
async def population(world: World) -> World:
    """Four hundred accounts over fourteen months, scored at each close."""
    await live(world, 400, "2018-01", 14)
    return world


@pytest.mark.row("T-60", "C-63", "C-32")
async def test_a_large_organisation_is_scored_by_the_likeliest_model(population: World) -> None:
    """One world for several claims: it takes seconds to make."""
    models = await population.rows("SELECT * FROM score_models ORDER BY month")
    fitted = [model for model in models if model["fallback_reason"] is None]
    assert {model["purchase_model"] for model in fitted} <= {"bg_nbd", "pareto_nbd", "mbg_nbd", "mbg_cnbd_k"}
    for model in fitted:
        usable = {name: told for name, told in model["purchases"].items() if told["converged"]}
        losses = {name: told["holdout_log_loss"] for name, told in usable.items() if "holdout_log_loss" in told}
        plain = {name: -told["log_likelihood"] for name, told in usable.items() if name != "mbg_cnbd_k"}
        measure = losses or plain
        assert measure[model["purchase_model"]] == min(measure.values())
    assert [m["fitted_on"].isoformat()[:7] for m in models[-3:]] == ["2018-12", "2018-12", "2018-12"], "refitted at quarters"
    assert models[0]["fallback_reason"] is not None
    await _each_account_is_the_models(population, models[-1])
    await _the_calibration_is_near(models)
    await _a_second_run_changes_nothing(population)
    await _the_interval_holds(population)
    await _the_hold_out_decides(models)


async def _each_account_is_the_models(world: World, model: dict[str, Any]) -> None:
    """Every stored number again, straight from the model and the account's own row."""
    rows = await world.rows("SELECT i.*, s.clv_fen, s.expected_months, s.at_risk_fen, s.risk FROM score_inputs i "
                            "JOIN scores s USING (month, account_no) WHERE month = '2019-02-01'")  # fmt: skip
    used = estimating.Models(model["purchase_model"], None, model["purchases"], model["value"])
    keys = [(row["active_months"] - 1, row["age"] - row["recency"], row["age"], 1, 0) for row in rows]
    by_history = {tuple(one[:3]): one for one in estimating.estimate(used, keys, 10)}
    worth = tuple(model["value"]["parameters"][name] for name in gammagamma.NAMES)
    for row, key in zip(rows, keys, strict=True):
        _, _, _, expected, discounted, _ = by_history[key[:3]]
        x = np.array([float(key[0])])
        mean = np.array([row["repeat_fen"] / max(key[0], 1)])
        assert row["expected_months"] == pytest.approx(expected, abs=1e-6)
        assert row["clv_fen"] == pytest.approx(discounted * gammagamma.expected_value(worth, x, mean)[0], abs=1.0)
        assert row["at_risk_fen"] == pytest.approx(row["clv_fen"] * row["risk"] // 100, abs=0)
    ships = chances(400, 11)
    order = sorted(rows, key=lambda row: (-row["expected_months"], row["account_no"]))
    best = np.mean([ships[int(row["account_no"][1:])][0] for row in order[:40]])
    assert best > np.mean([one[0] for one in ships])


async def _the_calibration_is_near(models: list[dict[str, Any]]) -> None:
    """The chance of silence, summed over the hold-out month, is within a factor of three of who fell silent: it orders accounts
    better than it counts them, so the risk shown is the rule's or the regression's, never this chance."""
    for model in models[-3:]:
        assert 1 / 3 < model["churn"]["silence_expected"] / model["churn"]["lost"] < 3


async def _a_second_run_changes_nothing(world: World) -> None:
    before = [await world.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("score_inputs", "scores", "forecast_errors")]
    await world.rows("DELETE FROM score_models WHERE month = '2019-02-01' RETURNING 1")

    async def record(_: Any) -> bool:
        return True

    await refresh.refresh(world.db, at("2019-03-01", "00:30:00"), record)
    after = [await world.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("score_inputs", "scores", "forecast_errors")]
    assert before == after


async def _the_interval_holds(world: World) -> None:
    (row,) = await world.rows("SELECT sum(within)::float8 / sum(accounts)::float8 AS share FROM forecast_errors")
    assert 0.7 < row["share"] < 0.97


async def _the_hold_out_decides(models: list[dict[str, Any]]) -> None:
    for model in models:
        table = {row["score"]: row for row in model["churn"]["table"]}
        if "model" in table:
            beaten = all(table["model"]["auc"] > row["auc"] for name, row in table.items() if name != "model")
            better = beaten and table["model"]["precision"] >= table["rule"]["precision"]
            assert (model["churn_method"] == "model") == better
            assert {"recency", "last_fall", "rule", "model"} == set(table)
        else:
            assert model["churn_method"] == "rule"
    assert any("model" in {row["score"] for row in model["churn"]["table"]} for model in models)


def sample(count: int, seed: int, useful: bool) -> list[list[float]]:
    """Accounts of which the features say who is lost, or say nothing."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        features = random.normal(size=5)
        signal = 2.0 * features[0] if useful else 0.0
        lost = random.random() < 1 / (1 + np.exp(1.5 - signal))
        rows.append([*features, random.integers(0, 100), float(lost)])
    return rows


@pytest.mark.row("T-60")
def test_a_model_that_does_not_beat_the_baselines_is_not_switched_on_and_says_so() -> None:
    idle = churning.try_model(sample(800, 1, useful=False), sample(800, 2, useful=False))
    assert (idle["method"], idle["model"], idle["reason"]) == ("rule", None, "the model does not beat the baselines")
    used = churning.try_model(sample(800, 1, useful=True), sample(800, 2, useful=True))
    assert used["method"] == "model"
    table = {row["score"]: row for row in used["table"]}
    assert table["model"]["auc"] > max(table[name]["auc"] for name in ("recency", "last_fall", "rule"))
    assert table["model"]["lift"] > 1.5
    assert used["flagged"] == 80
    few = churning.try_model(sample(800, 1, useful=True), sample(30, 2, useful=True))
    assert few["method"] == "rule"


@pytest.mark.row("T-60")
def test_a_model_whose_list_is_worse_than_the_rules_is_not_switched_on_although_it_orders_better() -> None:
    held_out = sample(800, 2, useful=True)
    lost = [row for row in held_out if row[-1] > 0.5]
    for row in held_out:
        row[-2] = 0.0
    for row in lost[:80]:
        row[-2] = 100.0  # the rule finds a third of those who were lost, and nobody else
    found = churning.try_model(sample(800, 1, useful=True), held_out)
    table = {row["score"]: row for row in found["table"]}
    assert table["model"]["auc"] > table["rule"]["auc"]
    assert table["model"]["precision"] < table["rule"]["precision"] == 1.0
    assert (found["method"], found["reason"]) == ("rule", "the model does not beat the baselines")


def test_the_logistic_regression_finds_its_weights_again() -> None:
    random = np.random.default_rng(5)
    features = random.normal(size=(20_000, 5)) * [1, 10, 0.1, 3, 1]
    weights = np.array([-1.0, 0.8, -0.05, 4.0, 0.2, 0.0])
    happened = random.random(20_000) < 1 / (1 + np.exp(-(weights[0] + features @ weights[1:])))
    assert churning.fit_logistic(features, happened) == pytest.approx(weights, abs=0.25)


def test_stored_parameters_keep_their_meaning() -> None:
    """A database gives the keys of an object in an order of its own."""
    rows = [(0, 0, 11, 300, 0), (5, 8, 11, 200, 4_000_000), (9, 11, 11, 300, 500_000), (2, 3, 11, 100, 1_000_000)]
    spent = [(3, 1000.0 + n) for n in range(300)] + [(5, 500.0 + 3 * n) for n in range(300)]
    models = estimating.fit_models(rows, [], spent, 200)
    assert models.fallback_reason is None
    shuffled = {
        name: {**told, "parameters": dict(sorted(told["parameters"].items(), key=lambda item: (len(item[0]), item[0])))}
        for name, told in models.purchases.items()
    }
    again = estimating.Models(models.purchase_model, None, shuffled, models.value)
    assert estimating.estimate(again, rows, 10) == estimating.estimate(models, rows, 10)


def test_a_model_with_a_k_is_used_only_where_it_foresees_silence_better() -> None:
    """Months are a grid: the likelihood of the gaps prefers a k even of shippers who ship by the toss of a coin."""
    random = np.random.default_rng(3)
    shipped = random.random((4000, 14)) < random.beta(1.2, 3, (4000, 1))
    models = estimating.fit_models(
        grid(shipped), grid(shipped[:, :11], shipped[:, 11:]), [(3, 100.0 + n) for n in range(300)], 200
    )
    likelihood = {name: told["log_likelihood"] for name, told in models.purchases.items()}
    assert max(likelihood, key=lambda name: likelihood[name]) == "mbg_cnbd_k"
    assert models.purchase_model != "mbg_cnbd_k"


def grid(shipped: np.ndarray, later: np.ndarray | None = None) -> list[tuple[Any, ...]]:
    rows: dict[tuple[int, int, int], list[int]] = {}
    for n, row in enumerate(shipped):
        months = np.flatnonzero(row)
        if len(months):
            key = (len(months) - 1, int(months[-1] - months[0]), int(shipped.shape[1] - 1 - months[0]))
            gaps = int(sum(round(1e6 * float(np.log(gap))) for gap in np.diff(months)))
            silent = int(later is not None and not later[n].any())
            known = rows.setdefault(key, [0, 0, 0])
            rows[key] = [known[0] + 1, known[1] + gaps, known[2] + silent]
    return [(*key, *values[: 2 + (later is not None)]) for key, values in rows.items()]


@pytest.mark.row("C-32")
async def test_the_forecast_is_the_same_month_of_last_year_by_working_days(world: World) -> None:
    """March 2019 has one working day less than March 2018 and more than February 2019: the table says."""
    await world.open(account("Y"), account("N"))
    await ship(world, "Y", "2018-03", [2200, *[100] * 11])
    await ship(world, "N", "2019-01", [5000, 6000])
    await world.open(account("L", "B2"))
    await ship(world, "L", "2018-01", [90_000, 90_000, *[0] * 11, 1000])
    await world.run("2019-03-01")
    days = {
        row["month"]: row["days"]
        for row in await world.rows(
            "SELECT to_char(day, 'YYYY-MM') AS month, (count(*) FILTER (WHERE working))::integer AS days "
            "FROM working_days GROUP BY 1"
        )
    }
    assert (days["2018-03"], days["2019-02"], days["2019-03"]) == (22, 17, 21)
    assert (await scored(world, "Y"))["forecast_fen"] == 2200 * 21 // 22 == 2100
    new = await scored(world, "N")
    assert new["forecast_fen"] == 6000 * 21 // 17, "no year yet: the last month"
    weights = {month: 0.7**n / days[month] for n, month in enumerate(("2019-02", "2019-01"))}
    level = (6000 * weights["2019-02"] + 5000 * weights["2019-01"]) * 21 / (1 + 0.7)
    assert new["level_fen"] == pytest.approx(level, abs=1)
    of_a_year = 1000 / 17 * 21 * (1 - 0.7) / (1 - 0.7**12)
    assert (await scored(world, "L"))["level_fen"] == pytest.approx(of_a_year, abs=1), "more than twelve months back is forgotten"


@pytest.mark.row("C-32", "C-33")
async def test_the_level_is_shown_only_where_it_beat_the_naive_forecast_on_the_branch(world: World) -> None:
    """B1 swings around a level, B2 repeats its last month: each branch is shown what was nearer there."""
    await world.open(account("SWINGS", "B1"), account("STEPS", "B2"))
    await ship(world, "SWINGS", "2018-01", [10_000, 30_000] * 5)
    await ship(world, "STEPS", "2018-01", [10_000, 10_000, 10_000, 10_000, 80_000, 80_000, 80_000, 80_000, 80_000, 80_000])
    for month in range(2, 12):
        await world.run(f"2018-{month:02d}-01")
    errors = await world.rows("SELECT * FROM forecast_errors WHERE month = '2018-10-01' ORDER BY unit_code")
    assert [(row["unit_code"], row["by_model"]) for row in errors] == [("B1", True), ("B2", False)]
    swings, steps = await scored(world, "SWINGS"), await scored(world, "STEPS")
    assert (swings["by_model"], swings["forecast_fen"]) == (True, swings["level_fen"])
    assert (steps["by_model"], steps["forecast_fen"]) == (False, steps["naive_fen"])
    (before,) = await world.rows(
        "SELECT s.forecast_fen, i.naive_fen, i.level_fen FROM scores s JOIN score_inputs i USING (month, account_no) "
        "WHERE month = '2018-09-01' AND account_no = 'SWINGS'"
    )
    assert (errors[0]["accounts"], errors[0]["actual_fen"]) == (1, 30_000)
    assert errors[0]["shown_error_fen"] == abs(before["forecast_fen"] - 30_000)
    assert errors[0]["naive_error_fen"] == abs(before["naive_fen"] - 30_000)
    assert errors[0]["level_error_fen"] == abs(before["level_fen"] - 30_000)
    shown = await world.rows("SELECT by_model FROM forecast_errors WHERE unit_code = 'B1' ORDER BY month LIMIT 3")
    assert [row["by_model"] for row in shown] == [False, False, True], "three months have to be judged first"
    months = await world.rows("SELECT amount_fen, level_fen FROM score_inputs WHERE account_no = 'SWINGS' ORDER BY month")
    missed = [(after["amount_fen"] - before["level_fen"]) ** 2 for before, after in pairwise(months)]
    half_width = 1.2816 * (sum(missed) / len(missed)) ** 0.5
    assert swings["low_fen"] == pytest.approx(swings["forecast_fen"] - half_width, abs=2)
    assert swings["high_fen"] == pytest.approx(swings["forecast_fen"] + half_width, abs=2)


@pytest.mark.row("C-33")
async def test_errors_of_a_branch_are_added_without_their_signs(world: World) -> None:
    """One too high and one too low do not cancel out, and who fell silent is an error, too; each branch has its own."""
    await world.open(account("UP"), account("DOWN"), account("STOPS"), account("OTHER", "B2"))
    for name, amounts in {"UP": [10_000, 30_000], "DOWN": [10_000, 2_000], "STOPS": [10_000], "OTHER": [10_000, 10_000]}.items():
        await ship(world, name, "2018-01", amounts)
    await world.run("2018-02-01")
    forecast = (await scored(world, "UP"))["forecast_fen"]
    assert 2_000 < forecast < 30_000
    await world.run("2018-03-01")
    errors = await world.rows("SELECT * FROM forecast_errors WHERE month = '2018-02-01' ORDER BY unit_code")
    found = [(row["unit_code"], row["accounts"], row["actual_fen"], row["shown_error_fen"]) for row in errors]
    assert found == [("B1", 3, 32_000, 28_000 + forecast), ("B2", 1, 10_000, abs(10_000 - forecast))]
    async with world.db.transaction() as session:
        told = (await reading.list_forecast_errors(session, "D1", PageRequest(), month="2018-02"))["items"]
        of_b2 = (await reading.list_forecast_errors(session, "B2", PageRequest()))["items"]
    assert [(one["unit_code"], one["error_percent"]) for one in told] == [
        (unit, round(100 * error / actual, 1)) for unit, _, actual, error in found
    ]
    assert of_b2 == told[1:]


async def test_what_is_published_is_what_changed(world: World) -> None:
    await world.open(account("A"), account("B"))
    await ship(world, "A", "2018-01", [10_000, 10_000, 10_000])
    await world.run("2018-02-01")
    await world.run("2018-03-01")
    told = await world.events("tiering.scores-changed.v1")
    assert [(event["account_no"], event["month"], event["version"]) for event in told] == [
        ("A", "2018-01", 1),
        ("A", "2018-02", 1),
    ]
    assert told[0]["scored_at"] == "2018-02-01T00:30:00+08:00"


async def test_inputs_written_twice_are_the_same_and_a_crash_leaves_none_behind(world: World) -> None:
    await histories(world)
    before = await world.rows("SELECT * FROM score_inputs ORDER BY month, account_no")
    async with world.db.transaction() as session:
        assert await inputs.write_inputs(session, date(2018, 6, 1)) == len(HISTORIES)
    assert await world.rows("SELECT * FROM score_inputs ORDER BY month, account_no") == before


@pytest.mark.row("C-63", "T-60")
async def test_a_digest_is_of_models_inputs_and_result_and_of_no_event(world: World) -> None:
    """Computed here from the stored row, so that another machine comes to the same."""
    await histories(world)
    row = await scored(world, "C")
    (model,) = await world.rows("SELECT * FROM score_models ORDER BY month DESC LIMIT 1")
    (error,) = await world.rows("SELECT * FROM forecast_errors WHERE month = :month AND unit_code = 'B1'", month=row["month"])
    share = min(1.0, error["level_error_fen" if error["by_model"] else "naive_error_fen"] / error["actual_fen"])
    numbers = [
        (row["charges_12"] << 26) | (row["active_months"] << 20) | (row["recency"] << 14) | (row["age"] << 8)
        | (row["months_12"] << 4) | row["judged"],
        ((row["month"] - date(2000, 1, 1)).days << 32) | (row["recency_score"] << 24) | (row["frequency_score"] << 21)
        | (row["money_score"] << 18) | (row["rule_risk"] << 10) | (row["base_risk"] << 3) | row["by_model"],
        (round(row["expected_months"] * 1e6) << 40) | (round(row["silence"] * 1e6) << 20) | round(share * 999_999),
        *(row[name] for name in (
            "total_fen", "repeat_fen", "amount_fen", "previous_fen", "before_previous_fen", "amount_12_fen", "naive_fen",
            "level_fen", "clv_fen", "low_fen", "high_fen",
        )),
    ]  # fmt: skip
    said = model["digest"] + struct.pack(">5i", 1, 0, 20, len(numbers), 1)
    said += b"".join(struct.pack(">iQ", 8, number % 2**64) for number in numbers) + b"C/B1/B1"
    assert row["digest"] == sha256(said).digest()
    async with world.db.transaction() as session:
        told = await reading.read_scores(session, "C")
        listed = await reading.list_models(session, PageRequest())
    assert (told["digest"], listed["items"][0]["digest"]) == (row["digest"].hex(), model["digest"].hex())
    digests = await world.rows("SELECT DISTINCT digest FROM scores")
    assert len(digests) == len(await world.rows("SELECT * FROM scores")) > 5


async def test_events_are_handled_while_models_are_fitted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models work in a thread: the loop turns meanwhile."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    turning = asyncio.create_task(turn())
    histories_of = [(x, x, 23, 40, 0) for x in range(24)]
    spent = [(1 + n % 9, 100.0 + n) for n in range(2000)]
    await refresh._in_thread(estimating.fit_models, histories_of, [], spent, 200)
    turning.cancel()
    assert turns > 5


def test_only_the_run_that_scores_imports_its_models() -> None:
    """Scipy's memory and half second are not for consumers, relays and web servers."""
    code = (
        "import sys, services.tiering.worker, services.tiering.main, services.cli; "
        "print([name for name in sys.modules if name.startswith(('scipy', 'services.tiering.scores.counting'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


async def test_an_interrupted_month_is_scored_again_and_recorded_once(tiering: Database, world: World) -> None:
    await world.open(account("A"))
    await ship(world, "A", "2018-01", [10_000])
    await world.run("2018-02-01")
    async with tiering.transaction() as session:
        assert not await refresh.is_due(session, at("2018-02-02", "00:30:00"))
        runs = (await session.execute(text("SELECT count(*) FROM schedule_runs WHERE schedule = 'scores'"))).scalar()
    assert runs == 1
