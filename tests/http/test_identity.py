"""Tokens: what is believed, what is not, and what happens to the issuer's keys."""

import asyncio
import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk, jwt
from uvicorn import Config, Server

from shared.access import Role
from shared.clock import wall_now
from shared.identity import MAX_REMEMBERED, Caller, Identity, data_key, local_keys, make_token
from shared.problems import Unauthorized, Unavailable
from shared.settings import Settings, SettingsError, load_settings
from tests.http.conftest import Toy
from tests.http.test_edge import assert_problem

ISSUER = "https://id.example/realms/carrier"
NOW = 1_790_000_000


def made(algorithm: str = "ES256", kid: str = "k1") -> Any:
    parameters: Any = {"kid": kid, "use": "sig"}
    if algorithm.startswith(("RS", "PS")):
        return jwk.RSAKey.generate_key(2048, parameters, private=True)
    return jwk.ECKey.generate_key("P-256", parameters, private=True)


def claims(**other: Any) -> dict[str, Any]:
    good = {"iss": ISSUER, "aud": "express-crm", "sub": "p-1", "roles": ["analyst"], "unit": "B1", "iat": NOW, "exp": NOW + 600}
    return {name: value for name, value in (good | other).items() if value is not None}


def signed(key: Any, header: dict[str, Any] | None = None, **other: Any) -> str:
    return jwt.encode({"alg": "ES256", "kid": "k1"} | (header or {}), claims(**other), key)


def plain(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


class Issuer:
    """An issuer whose keys lie in a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "jwks.json"
        self.key = made()
        self.publish(self.key)
        self.now = float(NOW)
        self.settings = load_settings(oidc_issuer=ISSUER, oidc_jwks_file=self.file, local=folder)
        self.identity = Identity(self.settings, lambda: self.now)

    def publish(self, *keys: Any) -> None:
        self.file.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in keys]}))

    async def caller(self, token: str) -> Caller:
        return await self.identity.caller(f"Bearer {token}")


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


async def test_a_good_token_says_who_calls(issuer: Issuer) -> None:
    caller = await issuer.caller(signed(issuer.key))
    assert caller == Caller("p-1", frozenset({Role.ANALYST}), "B1", None)
    shipper = await issuer.caller(signed(issuer.key, roles=["shipper"], unit=None, account_no="755"))
    assert (shipper.account_no, shipper.unit_code, shipper.scope.everything) == ("755", None, False)
    unknown = await issuer.caller(signed(issuer.key, roles=["janitor"]))
    assert unknown.roles == frozenset()


async def test_rsa_and_a_list_of_audiences(issuer: Issuer) -> None:
    key = made("RS256", "r1")
    issuer.publish(key)
    assert await issuer.caller(signed(key, {"alg": "RS256", "kid": "r1"}, aud=["other", "express-crm"]))


def _with_public_key_as_secret(issuer: Issuer, pem: bool) -> str:
    public = issuer.key.as_pem(private=False) if pem else json.dumps(issuer.key.as_dict(private=False)).encode()
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "k1", "typ": "JWT"}).encode()).rstrip(b"=")
    payload = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=")
    import hashlib
    import hmac

    mac = base64.urlsafe_b64encode(hmac.digest(public, header + b"." + payload, hashlib.sha256)).rstrip(b"=")
    return b".".join((header, payload, mac)).decode()


def _cut(token: str, change: Callable[[list[str]], list[str]]) -> str:
    return ".".join(change(token.split(".")))


FORGED: dict[str, Callable[[Issuer], str]] = {
    "none": lambda i: plain({"alg": "none"}, claims()),
    "None with kid": lambda i: plain({"alg": "None", "kid": "k1"}, claims()),
    "nOnE": lambda i: plain({"alg": "nOnE", "kid": "k1"}, claims()),
    "empty alg": lambda i: plain({"alg": "", "kid": "k1"}, claims()),
    "no alg": lambda i: plain({"kid": "k1"}, claims()),
    "alg is a list": lambda i: plain({"alg": ["ES256"], "kid": "k1"}, claims()),
    "ES256 unsigned": lambda i: plain({"alg": "ES256", "kid": "k1"}, claims()),
    "ES256 zero signature": lambda i: plain({"alg": "ES256", "kid": "k1"}, claims(), b"\0" * 64),
    "HS256 with the public key as PEM": lambda i: _with_public_key_as_secret(i, True),
    "HS256 with the public key as JWK": lambda i: _with_public_key_as_secret(i, False),
    "algorithm not listed": lambda i: jwt.encode({"alg": "PS256", "kid": "k1"}, claims(), made("PS256"), algorithms=["PS256"]),
    "algorithm of another key type": lambda i: plain({"alg": "RS256", "kid": "k1"}, claims(), b"x" * 256),
    "other key, same kid": lambda i: signed(made()),
    "unknown kid": lambda i: signed(made(kid="k9"), {"kid": "k9"}),
    "known key, unknown kid": lambda i: signed(i.key, {"kid": "k9"}),
    "kid is a number": lambda i: plain({"alg": "ES256", "kid": 1}, claims(), b"x" * 64),
    "kid is a path": lambda i: signed(made(), {"kid": "../../etc/passwd"}),
    "kid is SQL": lambda i: signed(made(), {"kid": "' OR '1'='1"}),
    "embedded jwk": lambda i: (k := made()) and signed(k, {"jwk": k.as_dict(private=False)}),
    "embedded jwk without kid": lambda i: plain({"alg": "ES256", "jwk": made().as_dict(private=False)}, claims(), b"x" * 64),
    "jku": lambda i: signed(made(), {"jku": "https://evil.example/jwks"}),
    "x5u": lambda i: signed(made(), {"x5u": "https://evil.example/cert"}),
    "unknown crit": lambda i: plain({"alg": "ES256", "kid": "k1", "crit": ["exp"], "exp": 1}, claims(), b"x" * 64),
    "other issuer": lambda i: signed(i.key, iss="https://id.example/realms/other"),
    "issuer with a slash": lambda i: signed(i.key, iss=ISSUER + "/"),
    "no issuer": lambda i: signed(i.key, iss=None),
    "other audience": lambda i: signed(i.key, aud="account"),
    "other audiences": lambda i: signed(i.key, aud=["account", "shop"]),
    "no audience": lambda i: signed(i.key, aud=None),
    "expired": lambda i: signed(i.key, exp=NOW - 31),
    "no expiry": lambda i: signed(i.key, exp=None),
    "expiry is text": lambda i: signed(i.key, exp="tomorrow"),
    "expiry is infinite": lambda i: signed(i.key, exp=float("inf")),
    "not yet": lambda i: signed(i.key, nbf=NOW + 31),
    "issued in the future": lambda i: signed(i.key, iat=NOW + 3600),
    "no subject": lambda i: signed(i.key, sub=None),
    "empty subject": lambda i: signed(i.key, sub=""),
    "subject is a number": lambda i: signed(i.key, sub=5),
    "subject breaks lines": lambda i: signed(i.key, sub="a\nb"),
    "subject is huge": lambda i: signed(i.key, sub="a" * 201),
    "no roles": lambda i: signed(i.key, roles=None),
    "roles are text": lambda i: signed(i.key, roles="ops_hq"),
    "roles are numbers": lambda i: signed(i.key, roles=[1]),
    "unit is a list": lambda i: signed(i.key, unit=["HQ"]),
    "shipper with a unit": lambda i: signed(i.key, roles=["shipper"], account_no="1"),
    "shipper without account": lambda i: signed(i.key, roles=["shipper"], unit=None),
    "staff with an account": lambda i: signed(i.key, unit=None, account_no="1"),
    "shipper and staff": lambda i: signed(i.key, roles=["shipper", "ops_hq"], unit=None, account_no="1"),
    "ID token": lambda i: signed(i.key, typ="ID"),
    "refresh token": lambda i: signed(i.key, typ="Refresh"),
    "payload is a list": lambda i: plain({"alg": "ES256", "kid": "k1"}, [1], b"x" * 64),  # type: ignore[arg-type]
    "changed payload": lambda i: _cut(signed(i.key), lambda p: [p[0], signed(i.key, unit="HQ").split(".")[1], p[2]]),
    "two parts": lambda i: _cut(signed(i.key), lambda p: p[:2]),
    "four parts": lambda i: _cut(signed(i.key), lambda p: [*p, p[2]]),
    "five parts": lambda i: _cut(signed(i.key), lambda p: [*p, *p[:2]]),
    "nested": lambda i: jwt.encode({"alg": "ES256", "kid": "k1", "cty": "JWT"}, claims(sub=None, inner=signed(i.key)), i.key),
    "garbage": lambda i: "garbage",
    "dots": lambda i: "..",
    "empty": lambda i: "",
    "not ASCII": lambda i: "t\u00f6ken.a.b",
    "NUL": lambda i: "a\0b.c.d",
    "deep header": lambda i: base64.urlsafe_b64encode(b'{"a":' * 900 + b"1" + b"}" * 900).decode() + ".a.b",
    "huge": lambda i: signed(i.key, padding="x" * 10_000),
    "bearer twice": lambda i: "Bearer " + signed(i.key),
}


@pytest.mark.parametrize("kind", FORGED)
async def test_forged_tokens_are_not_believed(issuer: Issuer, kind: str) -> None:
    assert await issuer.caller(signed(issuer.key))
    with pytest.raises(Unauthorized):
        await issuer.caller(FORGED[kind](issuer))


async def test_the_tests_forger_can_make_a_good_token(issuer: Issuer) -> None:
    signature = base64.urlsafe_b64decode(signed(issuer.key).split(".")[2] + "==")
    assert len(signature) == 64
    assert await issuer.caller(signed(issuer.key, exp=NOW - 29))
    assert await issuer.caller(signed(issuer.key, nbf=NOW + 29))


@pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer", "bearer x.y.z", "Token a", "Bearer  "])
async def test_every_refusal_is_a_401_problem_with_a_challenge(toy: Toy, header: str | None) -> None:
    answer = await toy.client.get("/v1/open", headers={"Authorization": header} if header is not None else {})
    assert_problem(answer, 401, "not-authenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_of_another_installation_is_401(toy: Toy, tmp_path: Path) -> None:
    token = make_token(load_settings(local=tmp_path), "ops_hq", "HQ")
    assert_problem(await toy.client.get("/v1/open", headers={"Authorization": f"Bearer {token}"}), 401, "not-authenticated")


async def test_a_remembered_token_ends_when_it_expires(issuer: Issuer) -> None:
    token = signed(issuer.key)
    await issuer.caller(token)
    issuer.now = NOW + 600 + 31
    with pytest.raises(Unauthorized):
        await issuer.caller(token)


async def test_memory_of_tokens_is_bounded(issuer: Issuer) -> None:
    await issuer.caller(signed(issuer.key, sub="first"))
    issuer.identity._remembered = {f"t{i}": (Caller("x", frozenset()), NOW + 100.0) for i in range(MAX_REMEMBERED)}
    await issuer.caller(signed(issuer.key))
    assert len(issuer.identity._remembered) <= MAX_REMEMBERED
    assert "t9999" in issuer.identity._remembered


async def test_an_unknown_key_makes_the_keys_read_once_a_minute(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    await issuer.caller(signed(issuer.key))
    reads = 0
    real = issuer.identity._document

    async def counted() -> Any:
        nonlocal reads
        reads += 1
        return await real()

    monkeypatch.setattr(issuer.identity, "_document", counted)
    new = made(kid="k2")
    issuer.publish(issuer.key, new)
    issuer.identity._read_at -= 61
    assert await issuer.caller(signed(new, {"kid": "k2"}))
    assert reads == 1
    for n in range(20):
        with pytest.raises(Unauthorized):
            await issuer.caller(signed(made(kid=f"n{n}"), {"kid": f"n{n}"}))
    assert reads == 1


@pytest.mark.parametrize("kid", ["k2", "k1"])
async def test_a_withdrawn_key_stops_counting(issuer: Issuer, kid: str) -> None:
    token = signed(issuer.key)
    await issuer.caller(token)
    new = made(kid=kid)
    issuer.publish(new)
    issuer.identity._read_at -= 601
    await issuer.caller(signed(new, {"kid": kid}))
    with pytest.raises(Unauthorized):
        await issuer.caller(token)


async def test_keys_that_cannot_be_read_are_503_and_known_ones_stay(issuer: Issuer) -> None:
    good = issuer.file.read_text()
    issuer.file.write_text("<html>")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await issuer.caller(signed(issuer.key))
    issuer.file.write_text(good)
    await asyncio.sleep(1.1)
    assert await issuer.caller(signed(issuer.key))
    issuer.file.unlink()
    issuer.identity._read_at -= 601
    assert await issuer.caller(signed(issuer.key, sub="p-2"))


async def test_a_shared_secret_in_the_jwks_is_no_key(issuer: Issuer) -> None:
    secret = jwk.OctKey.import_key("x" * 32, {"kid": "s1"})
    issuer.file.write_text(json.dumps({"keys": [secret.as_dict(private=True), issuer.key.as_dict(private=False)]}))
    assert await issuer.caller(signed(issuer.key))
    assert set(issuer.identity._keys) == {"k1"}


async def test_keys_by_url(issuer: Issuer) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": issuer.file.read_bytes()})

    server = Server(Config(app, port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells by this flag only
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    settings = load_settings(oidc_issuer=ISSUER, oidc_jwks_url=f"http://127.0.0.1:{port}/jwks")
    try:
        assert await Identity(settings, lambda: issuer.now).caller(f"Bearer {signed(issuer.key)}")
    finally:
        server.should_exit = True
        await serving


def test_local_keys_are_private_and_made_once(tmp_path: Path) -> None:
    settings = load_settings(local=tmp_path / "new")
    first = [path.read_bytes() for path in local_keys(settings)] + [data_key(settings)]
    assert [path.read_bytes() for path in local_keys(settings)] + [data_key(settings)] == first
    files = list((tmp_path / "new" / "keys").iterdir())
    assert len(files) == 3
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert b'"d"' not in first[1]


def test_local_keys_made_by_many_at_once_are_one(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    settings = load_settings(local=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: local_keys(settings)[0].read_bytes(), range(32)))
    assert len(keys) == 1
    private, public = (json.loads(path.read_text()) for path in local_keys(settings))
    assert public["keys"][0]["x"] == private["x"]


async def test_a_token_for_local_use(tmp_path: Path) -> None:
    settings = load_settings(local=tmp_path)
    identity = Identity(settings)
    caller = await identity.caller("Bearer " + make_token(settings, "branch_manager", "BR-SP", "p-7"))
    assert (caller.actor, caller.roles, caller.unit_code) == ("p-7", {Role.BRANCH_MANAGER}, "BR-SP")
    claims_ = jwt.decode(
        make_token(settings, "analyst", "HQ"), jwk.ECKey.import_key(json.loads(local_keys(settings)[0].read_text()))
    ).claims
    assert abs(claims_["exp"] - wall_now().timestamp() - 12 * 3600) < 60
    with pytest.raises(ValueError, match="there is no role king"):
        make_token(settings, "king", "HQ")
    with pytest.raises(ValueError, match="a shipper has an account"):
        make_token(settings, "shipper", "HQ")


def test_with_an_identity_provider_the_suite_makes_no_tokens(issuer: Issuer) -> None:
    with pytest.raises(SettingsError, match="CRM_OIDC_ISSUER"):
        make_token(issuer.settings, "ops_hq", "HQ")


def test_a_data_key_that_is_none(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"x" * 31)
    os.chmod(short, 0o600)
    for path in (short, tmp_path / "missing"):
        with pytest.raises(SettingsError, match="CRM_DATA_KEY_FILE"):
            data_key(Settings(data_key_file=path))
