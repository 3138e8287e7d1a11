"""The limit line of a read: bare FastAPI and asyncpg, which answer one prepared JSON row. No caller, no scope, no refusals."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from fastapi import FastAPI, Response

from shared.local.children import die_with_parent

READ = "SELECT body FROM prepared WHERE account_no = $1"


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(os.environ["BENCH_DATABASE_URL"], min_size=1, max_size=4, ssl=False)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=_lifespan)


@app.get("/v1/accounts/{account_no}/360")
async def read(account_no: str) -> Response:
    """Answer the prepared row."""
    body: str | None = await app.state.pool.fetchval(READ, account_no)
    return Response(body, 404 if body is None else 200, media_type="application/json")


if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )
