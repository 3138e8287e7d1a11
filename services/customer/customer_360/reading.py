"""Answers the page of an account with one statement, in which the caller's scope travels too."""

import asyncpg

from shared.db import Scope
from shared.problems import NotFound

_READ = "SELECT read_account_360($1, $2, $3, $4)"


async def read(pool: asyncpg.Pool, scope: Scope, account_no: str) -> bytes:
    """Return the page as JSON in UTF-8. Raises NotFound where there is no such account in the caller's scope."""
    page: str | None = await pool.fetchval(
        _READ, account_no, scope.unit_code or "", scope.account_no or "", "on" if scope.everything else "off"
    )
    if page is None:
        raise NotFound("account", account_no)
    return page.encode()
