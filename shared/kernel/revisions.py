"""What a service's Alembic revisions call: the kernel's tables, and the row-level policy of each table.

Three roles meet in each database: the owner, who migrates; `<service>_worker`, which sees all rows; `<service>_web`, which
sees what the caller of a request may see. Every table gets exactly one of the three `scope_*` calls.
"""

from importlib.resources import files
from typing import Any

from sqlalchemy import text

from shared.working_days import seed_days

Operation = Any
"""`alembic.op`, the module, or an `Operations` of one's own."""
# The conditions stand in the policies themselves: a function that holds a query is called for every row.
EVERYTHING = "current_setting('crm.everything', true) = 'on'"
OWN_ACCOUNT = "account_no = current_setting('crm.account', true)"
UNITS_BELOW = "SELECT a.unit_code FROM unit_ancestors a WHERE a.ancestor_code = current_setting('crm.unit', true)"
OPEN = (
    *("business_clock", "outbox", "outbox_leases", "consumer_offsets", "parked_events", "inbox", "schedule_runs"),
    *("schedule_state", "idempotency_keys", "working_days", "units", "unit_ancestors"),
)


def create(op: Operation, service: str) -> None:
    """Create the kernel's tables and functions, and seed the working days."""
    for statement in files("shared.kernel").joinpath("0001.sql").read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            op.execute(text(statement.replace(":", r"\:")))
    op.get_bind().execute(
        text("INSERT INTO working_days (day, working, provisional) VALUES (:day, :working, :provisional)"),
        [{"day": day, "working": working, "provisional": provisional} for day, working, provisional in seed_days()],
    )
    for table in OPEN:
        scope_open(op, service, table)
    scope_by_unit(op, service, "accounts")
    scope_by_account(op, service, "account_branches")


def scope_open(op: Operation, service: str, table: str) -> None:
    """Let every role of the service read and write all rows: the table holds nothing personal or commercial."""
    _policies(op, service, table, "true")


def scope_by_unit(op: Operation, service: str, table: str, also: str = "") -> None:
    """Scope rows by their column `unit_code`; a shipper sees the rows of its account where the table has `account_no`.

    `also` is a condition under which everybody of the staff sees a row: what was published to all. A shipper has no unit.
    """
    own = f" OR {OWN_ACCOUNT}" if _has(op, table, "account_no") else ""
    all_staff = f" OR (current_setting('crm.unit', true) <> '' AND {also})" if also else ""
    _policies(op, service, table, f"{EVERYTHING} OR unit_code IN ({UNITS_BELOW}){own}{all_staff}")


def scope_by_account(op: Operation, service: str, table: str) -> None:
    """Scope rows by the unit of their account today; without a known account by `branch_code`, where the table has it.

    The look at `accounts` is itself scoped, so that an account is found there exactly where the caller may see it.
    """
    branch = ""
    if _has(op, table, "branch_code"):
        branch = f" OR (branch_code IN ({UNITS_BELOW}) AND NOT account_is_known(account_no))"
    visible = f"EXISTS (SELECT FROM accounts x WHERE x.account_no = {table}.account_no)"
    _policies(op, service, table, f"{EVERYTHING} OR {OWN_ACCOUNT} OR {visible}{branch}")


def grant(op: Operation, service: str) -> None:
    """Give both roles of the service the use of all tables; call it last in a revision."""
    roles = f"{service}_web, {service}_worker"
    op.execute(f"GRANT USAGE ON SCHEMA public TO {roles}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {roles}")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {roles}")


def _policies(op: Operation, service: str, table: str, condition: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY all_rows ON {table} TO CURRENT_USER, {service}_worker USING (true) WITH CHECK (true)")
    op.execute(
        f"CREATE POLICY caller_rows ON {table} TO {service}_web USING ({condition}) WITH CHECK ({condition})".replace(":", r"\:")
    )


def _has(op: Operation, table: str, column: str) -> bool:
    found = op.get_bind().execute(
        text("SELECT 1 FROM information_schema.columns WHERE table_name = :table AND column_name = :column"),
        {"table": table, "column": column},
    )
    return found.first() is not None
