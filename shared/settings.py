"""Settings of the suite: one documented table, read from environment variables with the prefix CRM_.

Without any, everything runs on this machine under `.local/`. A wrong setting stops the start with one sentence that names it.
`python -m shared.settings write` writes docs/settings.md from this table, `check` refuses a stale one.
"""

import difflib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SERVICES = ("customer", "tiering", "retention", "tickets")
PREFIX = "CRM_"
ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"})
LOCAL_ISSUER = "http://127.0.0.1/crm-local"
OTHER_NAMES = ("CRM_REAL_DATA", "CRM_TEST_")
"""Beginnings of names with our prefix that are no settings of the suite: what its tests read."""
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

Words = Annotated[tuple[str, ...], NoDecode]
DatabaseUrl = Annotated[str | None, Field(default=None, repr=False, pattern=r"^postgres(ql)?://\S+$")]


class SettingsError(Exception):
    """A setting is wrong or missing; the text is one sentence that names it."""


class Settings(BaseSettings):
    """All settings, each with its default and what it is for."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    local: Path = Field(Path(".local"), description="Directory of everything a local run keeps: data, keys, logs, rejected rows.")
    kafka_bootstrap: str | None = Field(
        None,
        pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$",
        description="Kafka brokers, `host:port` with commas. Unset: a local broker is started.",
    )
    customer_database_url: DatabaseUrl = Field(
        description="Database of `customer`: a login that may SET ROLE customer_web and customer_worker."
    )
    tiering_database_url: DatabaseUrl = Field(description="The same for `tiering`.")
    retention_database_url: DatabaseUrl = Field(description="The same for `retention`.")
    tickets_database_url: DatabaseUrl = Field(description="The same for `tickets`.")
    customer_owner_url: DatabaseUrl = Field(
        description="Owner of the tables of `customer`, for migrations. Unset: the database URL."
    )
    tiering_owner_url: DatabaseUrl = Field(description="The same for `tiering`.")
    retention_owner_url: DatabaseUrl = Field(description="The same for `retention`.")
    tickets_owner_url: DatabaseUrl = Field(description="The same for `tickets`.")
    pool_size: int = Field(4, ge=1, le=4, description="Database connections of one process in each of its pools.")
    oidc_issuer: str = Field(
        LOCAL_ISSUER,
        min_length=1,
        description="`iss` of accepted tokens. Unset: the suite signs its own (local mode, `crm token`).",
    )
    oidc_audience: str = Field("express-crm", min_length=1, description="`aud` of accepted tokens.")
    oidc_algorithms: Words = Field(
        ("ES256", "RS256"), description="Accepted signature algorithms, with commas; only asymmetric ones."
    )
    oidc_jwks_url: str | None = Field(None, pattern=r"^https?://\S+$", description="Where the issuer publishes its keys (JWKS).")
    oidc_jwks_file: Path | None = Field(None, description="The same from a file, instead of the URL.")
    data_key_file: Path | None = Field(
        None,
        description="File with at least 32 random bytes: seals names, signs cursors. Unset: one is made under `CRM_LOCAL`.",
    )
    http_host: str = Field("127.0.0.1", min_length=1, description="Address that HTTP listens on.")
    http_port: int = Field(8000, ge=1, le=65535, description="Port of the suite. A service served alone has 8001-8004.")
    allowed_hosts: Words = Field(("localhost", "127.0.0.1"), description="Accepted `Host` headers, with commas and without port.")
    slot: str = Field(
        "1",
        pattern=r"^[A-Za-z0-9-]{1,32}$",
        description="Stable name of this process among its like: a restarted one takes its own work back.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: Literal["json", "console"] = Field("json", description="`json` for machines, `console` for people.")
    probe_port: int = Field(
        0, ge=0, le=65535, description="Port on which a worker or relay answers `/healthz`, `/readyz`, `/metrics`. 0: none."
    )
    lag_limit: int = Field(100_000, ge=1, description="`/readyz` says not ready while more events than this wait in a partition.")

    @field_validator("oidc_algorithms", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value

    @field_validator("oidc_algorithms")
    @classmethod
    def _asymmetric(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not set(value) <= ASYMMETRIC:
            raise ValueError(f"must name asymmetric algorithms only: {', '.join(sorted(ASYMMETRIC))}")
        return value

    @model_validator(mode="after")
    def _keys_of_issuer(self) -> "Settings":
        if self.oidc_jwks_url and self.oidc_jwks_file:
            raise ValueError("CRM_OIDC_JWKS_URL and CRM_OIDC_JWKS_FILE are both set: keep one.")
        if not self.local_identity and not (self.oidc_jwks_url or self.oidc_jwks_file):
            raise ValueError("CRM_OIDC_ISSUER is set, so CRM_OIDC_JWKS_URL or CRM_OIDC_JWKS_FILE must say where its keys are.")
        return self

    @property
    def local_identity(self) -> bool:
        """Say whether the suite signs its own tokens: no identity provider is named."""
        return self.oidc_issuer == LOCAL_ISSUER

    def database_url(self, service: str) -> str:
        """Return what a service connects with. Raises SettingsError where it is not set."""
        url: str | None = getattr(self, f"{service}_database_url")
        if url is None:
            raise SettingsError(f"{PREFIX}{service.upper()}_DATABASE_URL is not set: it names the database of {service}.")
        return url

    def owner_url(self, service: str) -> str:
        """Return what migrations of a service connect with."""
        url: str | None = getattr(self, f"{service}_owner_url")
        return url or self.database_url(service)

    def bootstrap(self) -> str:
        """Return the Kafka brokers. Raises SettingsError where they are not set."""
        if self.kafka_bootstrap is None:
            raise SettingsError(f"{PREFIX}KAFKA_BOOTSTRAP is not set: it names the Kafka brokers.")
        return self.kafka_bootstrap


def load_settings(**given: Any) -> Settings:
    """Read the settings; `given` overrides the environment. Raises SettingsError with one sentence that names the wrong one."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known and not name.startswith(OTHER_NAMES):
            near = difflib.get_close_matches(name, known, n=1)
            raise SettingsError(
                f"{name} is not a setting" + (f": did you mean {near[0]}?" if near else "; docs/settings.md lists all.")
            )
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None


def settings_or_exit(**given: Any) -> Settings:
    """Read the settings for a command: a wrong one prints its sentence and ends the process with code 2."""
    try:
        return load_settings(**given)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    if not first["loc"]:
        return f"{message}."
    return f"{PREFIX}{str(first['loc'][0]).upper()} is wrong: {message[0].lower()}{message[1:]}."


def render() -> str:
    """Render docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Environment variables; generated from `shared/settings.py` by `python -m shared.settings write`. A wrong one, or a name",
        "with the prefix that is not listed here, stops the start with one sentence.",
        "",
        "| name | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        shown = f"`{default}`" if default is not None else "unset"
        lines.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check the document; `check` ends with 1 where it is stale."""
    if arguments == ["write"]:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(render(), encoding="utf-8")
        return 0
    if arguments == ["check"]:
        if DOCUMENT.exists() and DOCUMENT.read_text(encoding="utf-8") == render():
            return 0
        sys.stderr.write("docs/settings.md is stale: python -m shared.settings write\n")
        return 1
    sys.stderr.write("usage: python -m shared.settings write|check\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
