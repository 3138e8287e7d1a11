"""What the architecture promises is held against the code and the four migrated databases."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import asyncpg
import pytest

from shared import kernel
from shared.events import TYPES
from shared.events.envelope import INBOUND_TOPICS
from shared.kernel.revisions import OPEN
from shared.migrations import differences
from shared.settings import SERVICES
from tests.conftest import Server

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DOORS = ("routes", "subscriptions", "schedules")
PRODUCTION = sorted(path for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py"))
MODULE_LINES = 400
FUNCTION_LINES = 40
NATIVE = re.compile(r"\b(ON CONFLICT|unnest\(|RETURNING|FILTER \(|FOR UPDATE|DISTINCT ON|pg_\w+\()")
"""What only PostgreSQL understands."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def door_modules(service: str, doors: Sequence[str]) -> list[Path]:
    """The modules of doors: each is one, or a package of one per room."""
    folder = ROOT / "services" / service
    return sorted(path for door in doors for path in (folder / f"{door}.py", *(folder / door).glob("*.py")) if path.exists())


def subscribed() -> set[str]:
    return {one.event.TYPE for service in SERVICES for one in import_module(f"services.{service}.subscriptions").SUBSCRIPTIONS}


def test_a_module_is_read_in_one_sitting() -> None:
    assert {name(path): lines for path in PRODUCTION if (lines := len(path.read_text("utf-8").splitlines())) > MODULE_LINES} == {}


def test_a_function_is_seen_at_once() -> None:
    long = {
        f"{name(path)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in PRODUCTION
        for node in functions(path)
        if node.end_lineno and node.end_lineno - node.lineno >= FUNCTION_LINES
    }
    assert long == {}


def test_the_only_commit_of_business_data_is_in_one_place() -> None:
    """Kafka's commit takes offsets; a migration's lets go of nothing but its lock."""
    commits = [
        name(path)
        for path in PRODUCTION
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit" and not node.args
    ]
    assert commits == ["shared/db.py", "shared/migrations.py"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_its_three_doors(service: str) -> None:
    folder = ROOT / "services" / service
    """A door, and what stands beside it, is a module, or a package of one module per room."""
    assert {*DOORS, "main", "worker", "schemas", "models"} <= {path.stem for path in folder.iterdir()}


@pytest.mark.parametrize("service", SERVICES)
def test_doors_decide_nothing(service: str) -> None:
    """No branch, no loop, no SQL in a function of a door: it hands over to a room."""
    deciding = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try)
    for path in door_modules(service, DOORS):
        found = [node.name for node in functions(path) for inner in ast.walk(node) if isinstance(inner, deciding)]
        assert [one for one in found if not one.startswith("_")] == [], name(path)


def test_every_event_type_is_explained() -> None:
    """Full names, so that whoever sees one on the bus finds it."""
    said = "".join(path.read_text("utf-8") for path in [DOCS / "language.md", *(DOCS / "rules").glob("*.md")])
    assert [kind for kind in TYPES if kind.rpartition(".v")[0] not in said] == []


def test_every_event_of_ours_has_a_reader_or_a_reason() -> None:
    listed = set(re.findall(r"^\| `([\w.-]+)` \|", (DOCS / "events-without-reader.md").read_text("utf-8"), re.M))
    unread = {kind for kind, event in TYPES.items() if event.TOPIC not in INBOUND_TOPICS} - subscribed()
    assert unread == listed


def test_every_inbound_event_has_a_reader() -> None:
    assert {kind for kind, event in TYPES.items() if event.TOPIC in INBOUND_TOPICS} <= subscribed()


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_has_both_policies_and_its_owner_is_bound_by_them(postgres: Server, service: str) -> None:
    connection = await asyncpg.connect(postgres.url(f"{service}_owner", await postgres.fresh(service)), ssl=False)
    try:
        tables = await connection.fetch(_TABLES)
        views = await connection.fetch(_VIEWS)
    finally:
        await connection.close()
    assert {row["relname"] for row in tables} >= {
        *OPEN,
        "accounts",
        *import_module(f"services.{service}.models").Base.metadata.tables,
    }
    for row in tables:
        assert row["relrowsecurity"], row["relname"]
        assert row["relforcerowsecurity"], row["relname"]
        assert json.loads(row["policies"]) == {
            "all_rows": [f"{service}_owner", f"{service}_worker"],
            "caller_rows": [f"{service}_web"],
        }
    for row in views:
        assert "security_invoker=true" in (row["reloptions"] or []), row["relname"]


@pytest.mark.row("X-17", "X-18")
@pytest.mark.parametrize("service", SERVICES)
async def test_the_models_say_what_the_migrations_made(postgres: Server, service: str) -> None:
    """SQLAlchemy is the abstraction layer: it knows every table, index and constraint there is."""
    assert await differences(service, postgres.url(f"{service}_owner", await postgres.fresh(service))) == []


@pytest.mark.row("X-17")
@pytest.mark.parametrize("service", SERVICES)
def test_what_only_postgresql_understands_stands_in_the_rooms(service: str) -> None:
    for path in door_modules(service, (*DOORS, "schemas", "main", "worker")):
        constants = (node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant))
        native = [value for value in constants if NATIVE.search(str(value))]
        assert native == [], name(path)


@pytest.mark.row("X-17")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_names_no_table_of_another(service: str) -> None:
    tables = {other: set(import_module(f"services.{other}.models").Base.metadata.tables) for other in SERVICES}
    foreign = (
        set().union(*(tables[other] for other in SERVICES if other != service)) - tables[service] - set(kernel.metadata.tables)
    )
    named = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE|TABLE) ({'|'.join(sorted(foreign))})\b")
    found = {
        f"{name(path)}: {match}"
        for path in (ROOT / "services" / service).rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        for match in named.findall(str(node.value))
    }
    assert found == set()


@pytest.mark.row("X-18")
async def test_the_tests_run_on_the_server_that_is_named(postgres: Server, admin: asyncpg.Connection) -> None:
    """Any PostgreSQL, 18 or newer: here a second run of tests is sent to this one, and leaves its databases there."""
    before = await admin.fetchval("SELECT count(*) FROM pg_database")
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs meanwhile
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/tiering/test_portability.py"],
        env={**os.environ, "CRM_TEST_POSTGRES": postgres.admin_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert await admin.fetchval("SELECT count(*) FROM pg_database") > before
    assert await admin.fetchval("SHOW server_version_num") >= "180000"


_TABLES = """
SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
       (SELECT json_object_agg(p.policyname, (SELECT array_agg(r ORDER BY r) FROM unnest(p.roles::text[]) AS r))
        FROM pg_policies p WHERE p.schemaname = 'public' AND p.tablename = c.relname) AS policies
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'alembic_version'"""
_VIEWS = """
SELECT relname, reloptions FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')"""
