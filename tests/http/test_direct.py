"""Hot reads: what may be answered directly."""

import pytest
from fastapi import Request, Response

from shared.direct import answered_directly
from shared.http import Caller, Router


def test_only_an_operation_of_its_path_alone_is_answered_directly() -> None:
    router = Router()

    @answered_directly
    async def read(request: Request, row: str) -> Response:
        return Response(row)

    @answered_directly
    async def listed(request: Request, row: str, first: int = 0) -> Response:
        return Response(row)

    @answered_directly
    async def owned(caller: Caller, row: str) -> Response:
        return Response(row)

    router.get("/v1/rows/{row}")(read)
    for other in (listed, owned):
        with pytest.raises(RuntimeError, match="answered directly"):
            router.get("/v1/rows/{row}")(other)
