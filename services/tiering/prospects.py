"""Prospects (潜在客户): star, moon or sun by the monthly freight that is expected of them (C-03)."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.tiering import policies
from services.tiering.axes import prospect_grade
from shared.clock import business_date, business_now
from shared.money import yuan_text

CHINESE = {"star": "星级", "moon": "月亮级", "sun": "太阳级"}


async def grade(session: AsyncSession, expected_fen: int) -> dict[str, Any]:
    """Grade an expected monthly amount by the policy that is in force today, and say why."""
    book = await policies.in_force(session, business_date(await business_now(session)))
    moon, sun = book.base.grades.gold_from_fen, book.base.grades.diamond_from_fen
    found = prospect_grade(expected_fen, moon, sun)
    amount, version = yuan_text(expected_fen), book.base.policy_version
    return {
        "grade": found,
        "expected_fen": expected_fen,
        "policy_version": version,
        "thresholds": {"moon_from_fen": moon, "sun_from_fen": sun},
        "explanation": [
            f"A prospect of {amount} yuan a month is a {found}: moon from {yuan_text(moon)}, sun from {yuan_text(sun)} yuan "
            f"(policy {version})."
        ],
        "explanation_zh": [
            f"预计每月运费{amount}元的潜在客户为{CHINESE[found]}:{yuan_text(moon)}元起为月亮级,"
            f"{yuan_text(sun)}元起为太阳级(规则版本{version})。"
        ],
    }
