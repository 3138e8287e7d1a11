"""A population to be scored: a million accounts with a history of months each, and the models that score them."""

from __future__ import annotations

from datetime import date
from typing import Any

MONTH = date(2026, 2, 1)
PARAMETERS = {"r": 1.9, "alpha": 2.4, "a": 0.6, "b": 7.5}
WORTH = {"p": 2.1, "q": 3.3, "gamma": 24_000.0}
CUTS = {"recency": [-9, -4, -1, 0], "frequency": [3, 20, 60, 200], "money": [30_000, 90_000, 200_000, 500_000]}
DISCOUNT_PERCENT = 10

FILL = """
INSERT INTO score_inputs (
    month, account_no, branch_code, unit_code, first_month, active_months, recency, age, log_gaps_ppm, total_fen, repeat_fen,
    amount_fen, previous_fen, before_previous_fen, months_12, charges_12, amount_12_fen, naive_fen, level_fen, judged,
    naive_square, level_square)
SELECT CAST($2 AS date), 'A' || lpad(n::text, 8, '0'), 'B' || n % 500, 'B' || n % 500, CAST($2 AS date) - age * 30, x + 1,
       age - t_x, age, 0, 5000 + x * worth, x * worth, CASE WHEN t_x = age THEN worth ELSE 0 END, worth, worth, least(x + 1, 12),
       1 + n % 300, least(x + 1, 12) * worth, worth, worth - n % 97, 10, worth::float8 * 10, worth::float8 * 9
FROM (
    SELECT n, age, x, CASE WHEN x = 0 THEN 0 ELSE x + ((hashint4(n + 2)::bigint & 65535) % (age - x + 1))::integer END AS t_x,
           1000 + (hashint4(n + 3)::bigint & 1048575) % 90000 AS worth
    FROM (
        SELECT n, age, CASE WHEN age = 0 THEN 0 ELSE ((hashint4(n + 1)::bigint & 65535) % (age + 1))::integer END AS x
        FROM (
            SELECT n, ((hashint4(n)::bigint & 65535) % 36)::integer AS age
            FROM generate_series(0, CAST($1 AS integer) - 1) AS n
        ) AS ages
    ) AS counts
) AS histories"""
"""Accounts $1, month $2; every figure follows from the number of the account."""

BARE_TABLE = """
CREATE TABLE bare_scores (LIKE scores INCLUDING ALL);
GRANT ALL ON bare_scores TO tiering_worker"""
"""The bare program writes rows of the same shape, with the same indexes; what it does not compute stands at a neutral value."""

ALIKE = """
SELECT count(*) FROM scores s FULL JOIN bare_scores b USING (month, account_no)
WHERE abs(s.clv_fen - b.clv_fen) <= 1 AND abs(s.expected_months - b.expected_months) < 1e-5"""
"""How many accounts both programs score alike."""


def models() -> Any:
    """Return the models as the service has them after a fit."""
    from services.tiering.scores.estimating import Models

    told = {"parameters": PARAMETERS, "log_likelihood": 0.0, "accounts": 1, "converged": True}
    return Models("bg_nbd", None, {"bg_nbd": told}, {"model": "gamma_gamma", "parameters": WORTH})
