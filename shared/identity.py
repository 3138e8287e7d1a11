"""Who calls: OIDC bearer tokens, verified with the issuer's keys, and the suite's own tokens in local mode.

Claims read: `sub` (stored as the actor of every write), `roles` (list), and either `unit` (one organisation unit's code) or,
for role shipper, `account_no`. Keys come only from the configured JWKS, never from a token. A verified token is remembered
until it expires, so that a hot read costs one look-up.
"""

import asyncio
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError

from shared.access import Role
from shared.clock import wall_now
from shared.db import Scope
from shared.observability import TOKENS_REFUSED, log
from shared.problems import Unauthorized, Unavailable
from shared.settings import LOCAL_ISSUER, Settings, SettingsError

MAX_TOKEN = 8_192
MAX_REMEMBERED = 10_000
LEEWAY = 30
"""Seconds by which clocks of two machines may differ."""
REFRESH_SECONDS = 60.0
RETRY_SECONDS = 1.0
"""Seconds between tries while there is no key at all."""
KEYS_STAY = 600.0
"""Seconds after which keys are read again, so that a withdrawn one stops counting."""
NOT_ACCESS = frozenset({"ID", "Refresh", "Offline", "Logout"})
"""Keycloak's `typ` claim of tokens that are not for APIs."""

logger = log("crm.identity")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token's subject, its roles, and its unit or (shipper) its account.

    `everything` says that the unit is the organisation's root, which only the service's database knows.
    """

    subject: str
    roles: frozenset[Role]
    unit_code: str | None = None
    account_no: str | None = None
    everything: bool = False

    @property
    def scope(self) -> Scope:
        """What row-level security lets the caller see."""
        return Scope(self.unit_code, self.account_no, self.everything)

    @property
    def actor(self) -> str:
        """The name stored with every write."""
        return self.subject


class Refused(Exception):  # noqa: N818 - says what happened
    """Why a token is not believed: for the log and the metric, never for the answer."""


class Identity:
    """Verifies the tokens of one issuer."""

    def __init__(self, settings: Settings, now: Callable[[], float] = lambda: wall_now().timestamp()) -> None:
        self.settings = settings
        self.now = now
        self._remembered: dict[str, tuple[Caller, float]] = {}
        self._keys: dict[str | None, jwk.Key] = {}
        self._read_at = -KEYS_STAY
        self._lock = asyncio.Lock()
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(self.now()),
            leeway=LEEWAY,
            iss={"essential": True, "value": settings.oidc_issuer},
            aud={"essential": True, "value": settings.oidc_audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def caller(self, authorization: str | None) -> Caller:
        """Return who sent an `Authorization` header. Raises Unauthorized, or Unavailable while no key can be had."""
        if not authorization:
            raise Unauthorized("A bearer token is needed.", invalid=False)
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            raise Unauthorized("A bearer token is needed.", invalid=False)
        known = self._remembered.get(token)
        if known is not None and known[1] > self.now():
            return known[0]
        try:
            return await self._verify(token.strip(" "))
        except Refused as why:
            TOKENS_REFUSED.labels(reason=str(why)).inc()
            logger.info("token refused", reason=str(why))
            raise Unauthorized from None

    async def _verify(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN:
            raise Refused("too long")
        try:
            header = jws.extract_compact(token.encode("ascii")).headers()
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in self.settings.oidc_algorithms:
                raise Refused("algorithm")
            if kid is not None and not isinstance(kid, str):
                raise Refused("kid")
            key = await self._key(kid)
            claims = jwt.decode(token, key, algorithms=list(self.settings.oidc_algorithms)).claims
            self._claims.validate(claims)
        except Refused:
            raise
        except JoseError as error:
            raise Refused(error.error) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise Refused("malformed") from error
        caller, expires = _caller_of(claims), float(claims["exp"])
        if len(self._remembered) >= MAX_REMEMBERED:
            self._forget()
        self._remembered[token] = (caller, expires)
        return caller

    def _forget(self) -> None:
        now = self.now()
        self._remembered = {token: entry for token, entry in self._remembered.items() if entry[1] > now}
        for token in list(self._remembered)[: max(0, len(self._remembered) - MAX_REMEMBERED * 9 // 10)]:
            del self._remembered[token]

    async def _key(self, kid: str | None) -> jwk.Key:
        if time.monotonic() - self._read_at > KEYS_STAY:
            await self._refresh(KEYS_STAY)
        elif self._pick(kid) is None:
            await self._refresh(REFRESH_SECONDS)
        key = self._pick(kid)
        if not self._keys:
            raise Unavailable("The identity provider's keys cannot be read.", "identity-provider-unavailable")
        if key is None:
            raise Refused("unknown key")
        return key

    def _pick(self, kid: str | None) -> jwk.Key | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _refresh(self, after: float) -> None:
        """Read the keys again, unless that was tried less than `after` seconds ago."""
        async with self._lock:
            if time.monotonic() - self._read_at < after:
                return
            self._read_at = time.monotonic()
            try:
                document = await self._document()
                keys = {key.kid: key for key in jwk.KeySet.import_key_set(document).keys if _verifies(key)}
            except (httpx2.HTTPError, OSError, ValueError, KeyError, TypeError, JoseError) as error:
                logger.error("keys of the issuer could not be read", error=type(error).__name__)
                if not self._keys:
                    self._read_at -= KEYS_STAY - RETRY_SECONDS
                return
            if _fingerprints(keys) != _fingerprints(self._keys):
                self._remembered.clear()
            self._keys = keys

    async def _document(self) -> Any:
        if self.settings.oidc_jwks_url:
            async with httpx2.AsyncClient(timeout=5.0, follow_redirects=False) as client:
                answer = await client.get(self.settings.oidc_jwks_url)
                answer.raise_for_status()
                return answer.json()
        path = self.settings.oidc_jwks_file or local_keys(self.settings)[1]
        return json.loads(path.read_text(encoding="utf-8"))


def _fingerprints(keys: dict[str | None, jwk.Key]) -> dict[str | None, str]:
    return {kid: key.thumbprint() for kid, key in keys.items()}


def _verifies(key: jwk.Key) -> bool:
    """Keep public signature keys only: a shared secret in a JWKS would let every reader of it sign."""
    return key.key_type != "oct" and key.get("use", "sig") == "sig"


def _caller_of(claims: dict[str, Any]) -> Caller:
    subject, roles, unit, account = (claims.get(name) for name in ("sub", "roles", "unit", "account_no"))
    if claims.get("typ") in NOT_ACCESS:
        raise Refused("not an access token")
    if not (isinstance(subject, str) and 0 < len(subject) <= 200 and subject.isprintable()):
        raise Refused("subject")
    if not (isinstance(roles, list) and all(isinstance(role, str) for role in roles)):
        raise Refused("roles")
    if not all(
        value is None or (isinstance(value, str) and 0 < len(value) <= 40 and value.isprintable()) for value in (unit, account)
    ):
        raise Refused("unit or account")
    known = frozenset(Role(role) for role in roles if role in set(Role))
    if (Role.SHIPPER in known) != (account is not None) or (account is not None and (unit is not None or len(known) > 1)):
        raise Refused("a shipper has an account and no unit, staff has no account")
    return Caller(subject, known, unit, account)


def local_keys(settings: Settings) -> tuple[Path, Path]:
    """Return the files of the local key pair, private (JWK) and public (JWKS), making them (0600) where they are missing."""
    folder = settings.local / "keys"
    private, public = folder / "oidc-private.json", folder / "oidc-public.json"
    if not private.exists():
        key = jwk.ECKey.generate_key("P-256", {"use": "sig", "kid": secrets.token_hex(8)}, private=True)
        write_secret(private, json.dumps(key.as_dict(private=True)).encode())
    key = jwk.ECKey.import_key(json.loads(private.read_text(encoding="utf-8")))
    if not public.exists():
        write_secret(public, json.dumps({"keys": [key.as_dict(private=False)]}).encode())
    return private, public


def write_secret(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 as a whole; where another process was first, its content stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def data_key(settings: Settings) -> bytes:
    """Return the installation's data key (at least 32 bytes). Raises SettingsError where the named file is no such key."""
    path = settings.data_key_file or settings.local / "keys" / "data.key"
    if settings.data_key_file is None and not path.exists():
        write_secret(path, secrets.token_bytes(32))
    try:
        key = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"CRM_DATA_KEY_FILE cannot be read: {error.strerror} ({path}).") from None
    if len(key) < 32:
        raise SettingsError(f"CRM_DATA_KEY_FILE holds fewer than 32 bytes: {path}.")
    return key


def make_token(
    settings: Settings,
    role: str,
    unit: str | None = None,
    person: str | None = None,
    account: str | None = None,
    hours: float = 12,
) -> str:
    """Make a token for local use, signed by the suite's own key, valid for `hours` of wall time.

    Raises SettingsError where an identity provider is configured, and ValueError for a role that does not exist or lacks its
    account (shipper).
    """
    if settings.oidc_issuer != LOCAL_ISSUER:
        raise SettingsError("CRM_OIDC_ISSUER names your identity provider: tokens come from there.")
    if role not in set(Role):
        raise ValueError(f"there is no role {role}; roles are {', '.join(Role)}")
    if (role == Role.SHIPPER) != (account is not None) or (account and unit):
        raise ValueError("a shipper has an account and no unit, every other role has a unit and no account")
    private, _ = local_keys(settings)
    key = jwk.ECKey.import_key(json.loads(private.read_text(encoding="utf-8")))
    now = int(wall_now().timestamp())
    claims: dict[str, Any] = {
        "iss": settings.oidc_issuer,
        "aud": settings.oidc_audience,
        "sub": person or f"local-{role}",
        "roles": [role],
        "iat": now,
        "exp": now + int(hours * 3600),
    }
    claims |= {"unit": unit} if unit else {}
    claims |= {"account_no": account} if account else {}
    return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)
