"""Apache Kafka's jars, by jgo: `kafka.toml` says what is wanted, `kafka.lock.toml` pins every jar by its SHA-256.

They are installed into the virtual environment, beside the other dependencies. A download that was killed leaves a file
with a wrong sum, which the next installation replaces. jgo's own environment builder is not used: to sort jars into
module path and class path it downloads a second Java, and Kafka needs the class path alone.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from jgo.env import EnvironmentSpec, LockedDependency, LockFile
from jgo.env._lockfile import compute_sha256, compute_spec_hash
from jgo.maven import MavenContext

SPEC = Path(__file__).with_name("kafka.toml")
LOCK = Path(__file__).with_name("kafka.lock.toml")
PLACE = Path(sys.prefix) / "share" / "express-crm" / "jars"


class JarsBrokenError(RuntimeError):
    """A jar is missing or is not the one that was pinned."""


def install(place: Path = PLACE) -> list[Path]:
    """Bring every pinned jar into `place`, verified; quick when they are all there. Gives the class path."""
    context = MavenContext(repo_cache=place, timeout=60)
    wanted = LockFile.load(LOCK).dependencies
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda jar: _fetch(context, jar), wanted))
    done = place / "installed"
    done.write_text(compute_sha256(LOCK))
    return paths


def class_path(place: Path = PLACE) -> list[Path]:
    """The installed jars; installs them first unless exactly these were installed and verified before."""
    done = place / "installed"
    if done.exists() and done.read_text() == compute_sha256(LOCK):
        context = MavenContext(repo_cache=place, offline=True)
        paths = [_artifact_path(context, jar) for jar in LockFile.load(LOCK).dependencies]
        if all(path.exists() for path in paths):
            return paths
    return install(place)


def lock(place: Path = PLACE) -> int:
    """Resolve `kafka.toml` afresh and write the lock file; gives the number of jars."""
    spec = EnvironmentSpec.load(SPEC)
    context = MavenContext(repo_cache=place, timeout=60)
    inputs, transitive = context.resolver.resolve([context.create_dependency(text) for text in spec.coordinates])
    chosen = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
    jars = sorted((LockedDependency.from_dependency(each) for each in chosen), key=lambda jar: (jar.groupId, jar.artifactId))
    result = LockFile(dependencies=jars, environment_name=spec.name, spec_hash=compute_spec_hash(SPEC))
    result.generated = datetime(2000, 1, 1, tzinfo=UTC)  # a lock without news is the same file
    result.save(LOCK)
    return len(jars)


def is_current() -> bool:
    """Whether the lock file was made from the specification as it stands."""
    return LockFile.load(LOCK).spec_hash == compute_spec_hash(SPEC)


def _artifact_path(context: MavenContext, jar: LockedDependency) -> Path:
    project = context.project(jar.groupId, jar.artifactId)
    path = project.at_version(jar.version).artifact(jar.classifier or "", jar.packaging).cached_path
    if path is None:
        raise JarsBrokenError(f"{jar.groupId}:{jar.artifactId} has no place in the jar directory")
    return Path(path)


def _fetch(context: MavenContext, jar: LockedDependency) -> Path:
    path = _artifact_path(context, jar)
    for _ in range(2):
        if not path.exists():
            context.project(jar.groupId, jar.artifactId).at_version(jar.version).artifact(
                jar.classifier or "", jar.packaging
            ).resolve()
        if compute_sha256(path) == jar.sha256:
            return path
        path.unlink()
    raise JarsBrokenError(
        f"{jar.groupId}:{jar.artifactId}:{jar.version} is not the jar that was pinned; check the registry and try again"
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["lock"]:
        print(f"{lock()} jars pinned in {LOCK.name}")
    elif sys.argv[1:] == ["check"]:
        sys.exit(0 if is_current() else f"{LOCK.name} is older than {SPEC.name}: make lock")
    else:
        print(f"{len(class_path())} Kafka jars in {PLACE}")
