"""Refusals as RFC 9457 problem details: what a room raises when it cannot do what was asked.

Every refusal has a stable `type` (`/problems/<slug>`), so that callers decide by it and never by the wording. This module
knows nothing of HTTP libraries: rooms raise, `shared.http` answers.
"""

import json
from collections.abc import Mapping
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the name of RFC 9457
    """A refusal: HTTP status, slug of its stable type, title (the same for all of its kind) and detail (this case).

    `headers` go with the answer, `extra` are further members of its body. Nothing of a person's data belongs in either.
    """

    def __init__(
        self,
        status: int,
        type_slug: str,
        title: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.type_slug = type_slug
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def body(self, trace_id: str | None = None) -> bytes:
        """Render the problem as JSON in UTF-8; `trace_id` finds the request in the logs."""
        members: dict[str, Any] = {"type": f"/problems/{self.type_slug}", "title": self.title, "status": self.status}
        if self.detail:
            members["detail"] = self.detail
        if trace_id:
            members["trace_id"] = trace_id
        return json.dumps(members | self.extra, ensure_ascii=True, separators=(",", ":")).encode()


class NotFound(Problem):
    """The thing does not exist, or lies outside the caller's unit: the two are answered alike (404)."""

    def __init__(self, what: str, id: object = None) -> None:
        named = f"{what} {id}" if id is not None else what
        super().__init__(404, "not-found", "Not found", f"There is no {named} in what you may see.")


class Conflict(Problem):
    """The thing's state does not allow it (409); `type_slug` names the rule."""

    def __init__(self, type_slug: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(409, type_slug, "The state does not allow this", detail, headers=headers)


class Invalid(Problem):
    """The request breaks a rule (422); `type_slug` names the rule, `invalid-request` is the OpenAPI document's own."""

    def __init__(self, detail: str, type_slug: str, *, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(422, type_slug, "The request is not valid", detail, extra=extra)


class Forbidden(Problem):
    """The caller's roles do not allow the operation at all (403)."""

    def __init__(self, detail: str, type_slug: str = "role-not-allowed") -> None:
        super().__init__(403, type_slug, "Not allowed", detail)


class Unauthorized(Problem):
    """No bearer token, or one that is not believed (401). The reason goes to the log; a forger learns nothing from the answer."""

    def __init__(self, detail: str = "A valid bearer token is needed.", *, invalid: bool = True) -> None:
        challenge = 'Bearer error="invalid_token"' if invalid else "Bearer"
        super().__init__(401, "not-authenticated", "Not authenticated", detail, headers={"WWW-Authenticate": challenge})


class Unavailable(Problem):
    """Something the answer needs is away for the moment (503); the same request may succeed soon."""

    def __init__(self, detail: str, type_slug: str = "unavailable") -> None:
        super().__init__(503, type_slug, "Not available at the moment", detail, headers={"Retry-After": "1"})
