"""The plain page at `/`: what runs, where the documents are, a few accounts to look at, a token to try them with."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import Scope
from shared.settings import SERVICES

EVERYTHING = Scope(everything=True)
QUESTIONS = {
    "customer": "who is this?",
    "tiering": "what are they worth, and is it moving?",
    "retention": "what do we owe them next?",
    "tickets": "what went wrong, and is it fixed in time?",
}
AWAY = "<!doctype html><title>Express CRM</title><p>The database is away; this page comes back with it."
STATES = {
    "running": "{origin} is being replayed: business day {day}",
    "done": "{origin} has been replayed; the business clock says {day}",
    "none": "There is no history; the business clock is the real one",
}
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "code,pre{background:#f3f3f3;padding:.1em .3em}pre{padding:1em;overflow:auto;white-space:pre-wrap;word-break:break-all}"
    "td{padding:.1rem 1.5rem .1rem 0}"
)


async def accounts(session: AsyncSession) -> list[tuple[str, str]]:
    """Return a few accounts worth a look, with their units: those with something open first."""
    rows = await session.execute(
        text(
            "SELECT a.account_no, a.unit_code FROM accounts a LEFT JOIN overview_items i USING (account_no) "
            "GROUP BY a.account_no, a.unit_code ORDER BY count(i.account_no) DESC, a.account_no LIMIT 5"
        )
    )
    return [(row.account_no, row.unit_code) for row in rows]


async def root_unit(session: AsyncSession) -> str | None:
    """Return the code of the root unit, None before there is one."""
    found: str | None = (await session.execute(text("SELECT unit_code FROM units WHERE kind = 'hq'"))).scalar()
    return found


def render(clock: dict[str, Any], origin: str, known: Sequence[tuple[str, str]], token: str | None, url: str) -> str:
    """Return the page; without a token there is an identity provider, and tokens come from there."""
    replay = clock["replay"]
    services = "".join(
        f'<tr><td><b>{name}</b><td>{QUESTIONS[name]}<td><a href="/{name}/docs">API</a>'
        f'<td><a href="/{name}/openapi.json">OpenAPI</a><td><a href="/{name}/readyz">health</a></tr>'
        for name in SERVICES
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Express CRM</title><style>{STYLE}</style>'
        f"<h1>Express CRM</h1><p>{STATES[replay['state']].format(origin=escape(origin), day=replay['business_date'])} "
        f'(<a href="/healthz">health of the suite</a>).</p><table>{services}</table>{_try_it(known, token, url)}</html>'
    )


def _try_it(known: Sequence[tuple[str, str]], token: str | None, url: str) -> str:
    parts = []
    if known:
        rows = "".join(
            f"<tr><td><code>{escape(number)}</code><td>unit {escape(unit)}"
            f"<td><code>/customer/v1/accounts/{escape(number)}/360</code></tr>"
            for number, unit in known
        )
        parts.append(f"<h2>A few accounts</h2><table>{rows}</table>")
    if token:
        example = f"/customer/v1/accounts/{known[0][0]}/360" if known else "/customer/v1/accounts"
        parts.append(
            "<h2>A token for this machine</h2><p>It sees everything and is valid for 12 hours; <code>.venv/bin/crm token "
            f"--role branch_manager --unit BR-SP</code> makes others.</p><pre>{token}</pre>"
            f'<pre>curl -s -H "Authorization: Bearer {token}" {escape(url)}{escape(example)}</pre>'
        )
    return "".join(parts)
