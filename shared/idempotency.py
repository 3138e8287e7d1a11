"""Idempotency-Key: a write that is sent again has its effect once, and gets the first answer byte for byte.

The answer is stored in the transaction of the effect, under principal, operation and key. What this means for a caller:

* the same key with the same request: the stored answer, with `Idempotency-Replayed: true`;
* the same key with another request (or another unit or role in the token): 422 `idempotency-key-reused`;
* the same key while the first request runs: 409 `idempotency-key-in-use` with `Retry-After`;
* a refused request (4xx, 5xx) stored nothing: sent again, it is judged again;
* a key is remembered for 7 days of wall time, then the same request counts as a new one.

A route declares one parameter, `idempotent: Idempotent`, in a router made with `shared.http.Router()`; a POST without it does
not start.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.db import driver
from shared.identity import Caller
from shared.problems import Conflict, Invalid

MAX_KEY = 200
REMEMBERED_DAYS = 7
"""Longer than any client goes on trying."""
KEY = r'^("[!#-\[\]-~]{1,200}"|[!#-\[\]-~]{1,200})$'
"""1-200 visible ASCII characters without quotes and backslashes, in quotes or not."""


class Replay(Exception):  # noqa: N818 - an answer, not an error
    """The request was answered before: this is the answer."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__("answered before")
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that this transaction holds until it ends."""

    session: AsyncSession
    principal: str
    operation: str
    key: str
    request_hash: str

    async def keep(self, status: int, body: bytes) -> None:
        """Store the answer with the effect."""
        await self.session.execute(
            text(
                "INSERT INTO idempotency_keys (principal, operation, key, request_hash, status, body, created_at) "
                "VALUES (:principal, :operation, :key, :hash, :status, :body, clock_timestamp())"
            ),
            {
                "principal": self.principal,
                "operation": self.operation,
                "key": self.key,
                "hash": self.request_hash,
                "status": status,
                "body": body.decode(),
            },
        )


def parse_key(header: str) -> str:
    """Read the header. Raises Invalid where it is no key."""
    if len(header) > MAX_KEY + 2 or re.fullmatch(KEY, header) is None:
        raise Invalid(f"Idempotency-Key must be 1-{MAX_KEY} visible ASCII characters.", "bad-idempotency-key")
    return header.strip('"')


def hash_request(caller: Caller, method: str, path: str, query: bytes, body: bytes) -> str:
    """Digest what a request asks for and in whose name, so that an answer is never replayed to lesser rights."""
    rights = "\x1f".join((caller.unit_code or "", caller.account_no or "", *sorted(caller.roles)))
    return hashlib.sha256(b"\x1e".join((rights.encode(), method.encode(), path.encode(), query, body))).hexdigest()


async def claim(session: AsyncSession, caller: Caller, operation: str, header: str, request_hash: str) -> Claim:
    """Hold a key until the transaction ends. Raises Replay with the first answer, Conflict while that is made, Invalid if reused.

    The lock is taken before the row is looked for: a row that another transaction is about to commit cannot be locked.
    """
    key = parse_key(header)
    mine = {"principal": caller.subject, "operation": operation, "key": key}
    free = await session.execute(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended(:principal || chr(30) || :operation || chr(30) || :key, 9457))"),
        mine,
    )
    if not free.scalar_one():
        raise Conflict(
            "idempotency-key-in-use", "The first request with this key is still running.", headers={"Retry-After": "1"}
        )
    stored = await session.execute(
        text(
            "SELECT request_hash, status, body FROM idempotency_keys "
            "WHERE (principal, operation, key) = (:principal, :operation, :key)"
        ),
        mine,
    )
    row = stored.first()
    if row is None:
        return Claim(session, caller.subject, operation, key, request_hash)
    if row.request_hash != request_hash:
        raise Invalid("This Idempotency-Key was used for another request.", "idempotency-key-reused")
    raise Replay(row.status, row.body.encode())


async def forget(session: AsyncSession, instant: datetime) -> None:
    """Delete the keys that are older than `REMEMBERED_DAYS`, in wall time whatever the business clock says."""
    await (await driver(session)).execute(_FORGET, REMEMBERED_DAYS)


_FORGET = "DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - make_interval(days => $1)"
