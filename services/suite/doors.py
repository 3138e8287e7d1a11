"""The HTTP doors through which the replay opens units and accounts: the same that a carrier's own system uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import httpx2

from shared.history.organisation import Account, Unit
from shared.replay import ReplayError

CHUNK = 1000
REFUSED = range(400, 500)


class HttpDoors:
    """`PUT /customer/v1/units` and `PUT /customer/v1/accounts` of the suite at `url`; both may be repeated."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx2.AsyncClient(
            base_url=f"{url}/customer/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30.0, trust_env=False
        )

    async def __aenter__(self) -> Self:
        """Open the client."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Close the client."""
        await self._client.aclose()

    async def put_units(self, units: Sequence[Unit]) -> None:
        """Create or change units, parents first."""
        await self._put(
            "/units",
            [
                {"unit_code": unit.unit_code, "kind": unit.kind, "parent_code": unit.parent_code, "name": unit.name}
                for unit in units
            ],
        )

    async def put_accounts(self, accounts: Sequence[Account]) -> None:
        """Open accounts."""
        await self._put(
            "/accounts",
            [
                {
                    "account_no": account.account_no,
                    "branch_code": account.branch_code,
                    "outlet_code": account.outlet_code,
                    "opened_on": account.opened_on.isoformat(),
                }
                for account in accounts
            ],
        )

    async def _put(self, path: str, items: list[dict[str, Any]]) -> None:
        for start in range(0, len(items), CHUNK):
            try:
                answer = await self._client.put(path, json={"items": items[start : start + CHUNK]})
            except httpx2.TransportError as error:
                raise ConnectionError(f"the customer service is away: {error!r}") from error
            if answer.status_code in REFUSED:
                raise ReplayError(f"The customer service refused PUT {path}: {answer.text[:300]}")
            if not answer.is_success:
                raise ConnectionError(f"PUT {path} was answered {answer.status_code}")
