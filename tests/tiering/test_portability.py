"""SQLAlchemy is the abstraction layer: models say what the database has, and PostgreSQL's own SQL stays in the owning rooms."""

import ast
from pathlib import Path

import pytest

import services.tiering
from shared.migrations import differences
from tests.conftest import Server

ROOMS = Path(services.tiering.__file__).parent


@pytest.mark.row("X-17", "X-18")
async def test_the_models_say_what_the_migrated_database_has(postgres: Server) -> None:
    name = await postgres.fresh("tiering")
    assert await differences("tiering", postgres.url("tiering_owner", name)) == []


@pytest.mark.row("X-17")
def test_doors_and_wire_shapes_hold_no_sql_and_pure_rules_no_database() -> None:
    """Least-common SQL: what only PostgreSQL understands stands in named functions of the room that owns the table."""
    doors = [ROOMS / f"{name}.py" for name in ("subscriptions", "schedules", "policy", "main", "worker")]
    for door in [*doors, *(ROOMS / "routes").glob("*.py"), *(ROOMS / "schemas").glob("*.py")]:
        tree = ast.parse(door.read_text(encoding="utf-8"))
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(module.startswith(("sqlalchemy", "asyncpg")) for module in imported), door
