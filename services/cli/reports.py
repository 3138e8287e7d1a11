"""Commands about reports: what is due, what is missing, reading, freezing, signing, and what has to be mended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.client import PersonOption, RoleOption, UnitOption, door
from services.cli.common import CommandError, JsonFlag, print_json, print_table, run

report = typer.Typer(
    no_args_is_help=True,
    help="Reports on a clock: each district and the whole network owe them by days that the policy names.\n\n"
    "Their way: made at the close of a month; `crm report gaps ID` says what is missing; frozen at 00:30 of the due day or by "
    "`crm report freeze ID`; read with `crm report show ID`, kept as a file with `crm report export ID FILE.pdf`; then "
    "`crm report sign ID --role district_head --as-unit UNIT`. After late charges `crm report changes ID` lists what moved, and "
    "`crm report reissue ID` takes a further snapshot. Find ids with `crm report list`.",
)
Report = Annotated[str, typer.Argument(help="Id of the report, from `crm report list`.")]
FORMATS = {".html": "html", ".pdf": "pdf", ".xlsx": "xlsx", ".csv": "csv", ".json": "json"}
SHOWN_ROWS = 20


def register(app: typer.Typer) -> None:
    """Add the command group of this module."""
    app.add_typer(report, name="report")


@report.command("list")
def list_reports(
    unit: Annotated[str | None, typer.Option("--unit", help="Only of this unit and those below it.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="For instance maintenance_monthly or quarterly_district.")] = None,
    period: Annotated[str | None, typer.Option("--period", help="For instance 2018-03 or 2018-Q1.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="open, frozen or signed.")] = None,
    role: RoleOption = "ops_hq",
    as_unit: UnitOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List reports, the earliest due first."""
    given = (("unit", unit), ("type", type_), ("period", period), ("state", state))
    query = "&".join(f"{name}={quote(value)}" for name, value in given if value)
    found = run(_pages(f"/v1/reports?{query}" if query else "/v1/reports", role, as_unit))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            *(one["report_id"], one["report_type"], one["unit_code"], one["period"], one["due_on"]),
            one["state"] + (", late" if one["late"] else "") + (", rest day" if one["rest_day"] else ""),
        ]
        for one in found
    ]
    print_table("", ["report", "type", "unit", "period", "due", "state"], rows)


@report.command()
def gaps(report_id: Report, role: RoleOption = "analyst", as_unit: UnitOption = None, as_json: JsonFlag = False) -> None:
    """Say what is still missing: untouched customers, unfinished talks, tasks past their time; per branch and responsible."""
    found = run(_ask("GET", f"/v1/reports/{_id(report_id)}/gaps", role, as_unit))
    if as_json:
        print_json(found)
        return
    names = ("assigned", "untouched", "incomplete", "overdue")
    title = f"Due {found['due_on']} 24:00, {found['days_left']} days left"
    print_table(title, ["branch", *names], [[one["branch_code"], *(one[name] for name in names)] for one in found["branches"]])
    rows = [[one["role"], one["unit_code"], *(one[name] for name in names)] for one in found["responsibles"]]
    print_table("By responsible", ["role", "unit", *names], rows)


@report.command()
def show(report_id: Report, role: RoleOption = "analyst", as_unit: UnitOption = None, as_json: JsonFlag = False) -> None:
    """Print a report: as it was frozen, or as known now while it is open; the first rows of each table."""
    found = run(_ask("GET", f"/v1/reports/{_id(report_id)}/document.json", role, as_unit))
    if as_json:
        print_json(found)
        return
    typer.echo(found["title"])
    typer.echo(found["subtitle"])
    for section in found["sections"]:
        typer.echo(f"\n== {section['heading']}")
        for paragraph in section["paragraphs"]:
            typer.echo(paragraph)
        for table in section["tables"]:
            rows = [_cells(row, table["columns"]) for row in table["rows"][:SHOWN_ROWS]]
            print_table(table["title"], [column["label"] for column in table["columns"]], rows)
            if len(table["rows"]) > SHOWN_ROWS:
                typer.echo(f"… {len(table['rows']) - SHOWN_ROWS} more rows; `crm report export` writes them all.")
    for note in found["notes"]:
        typer.echo(note)


@report.command()
def freeze(
    report_id: Report,
    role: RoleOption = "analyst",
    as_unit: UnitOption = None,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Take the snapshot now, before the day on which the clock does."""
    _state(run(_ask("POST", f"/v1/reports/{_id(report_id)}/freeze", role, as_unit, person)), as_json)


@report.command()
def sign(
    report_id: Report,
    role: RoleOption = "analyst",
    as_unit: UnitOption = None,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign a frozen report off; after 24:00 of its due day it is marked late."""
    _state(run(_ask("POST", f"/v1/reports/{_id(report_id)}/signature", role, as_unit, person)), as_json)


@report.command()
def reissue(
    report_id: Report,
    role: RoleOption = "analyst",
    as_unit: UnitOption = None,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Take a further snapshot, which begins with what changed since; it has to be signed again."""
    _state(run(_ask("POST", f"/v1/reports/{_id(report_id)}/reissue", role, as_unit, person)), as_json)


@report.command()
def changes(report_id: Report, role: RoleOption = "analyst", as_unit: UnitOption = None, as_json: JsonFlag = False) -> None:
    """List what late charges changed in a report's months since it was frozen."""
    found = run(_ask("GET", f"/v1/reports/{_id(report_id)}/changes", role, as_unit))
    if as_json:
        print_json(found)
        return
    from shared.money import yuan_text

    names = ("month", "account_no", "branch_code", "charges")
    rows = [[*(one[name] for name in names), yuan_text(one["change_fen"])] for one in found["items"]]
    print_table(f"Since {found['frozen_at'] or 'never frozen'}", ["month", "account", "branch", "charges", "yuan"], rows)


@report.command()
def export(
    report_id: Report,
    file: Annotated[Path, typer.Argument(help="Where to: the ending says the format (.pdf, .html, .xlsx, .csv, .json).")],
    table: Annotated[int, typer.Option("--table", help="Which table, for CSV.")] = 1,
    role: RoleOption = "analyst",
    as_unit: UnitOption = None,
) -> None:
    """Write a report to a file."""
    wanted = FORMATS.get(file.suffix.lower())
    if wanted is None:
        raise CommandError(f"{file} does not end with one of {', '.join(FORMATS)}.", 2)
    content = run(_fetch(f"/v1/reports/{_id(report_id)}/document.{wanted}?table={table}", role, as_unit))
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
    typer.echo(f"{file}: {len(content):,} bytes")


@report.command()
def rectify(
    report_id: Report,
    unit: Annotated[str, typer.Option("--unit", help="Unit that has to mend something.")],
    weakness: Annotated[
        str, typer.Option("--weakness", help="low_frequency, incomplete, late_records, weak_fix, overdue_tasks or other.")
    ],
    measure: Annotated[str, typer.Option("--measure", help="What has to be done.")],
    due: Annotated[str, typer.Option("--due", help="By the end of this day, YYYY-MM-DD.")],
    who: Annotated[str, typer.Option("--responsible", help="Role that answers for it.")] = "branch_manager",
    role: RoleOption = "analyst",
    as_unit: UnitOption = None,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask a unit to mend something by a day; the analyst verifies it, else it is open again."""
    order = {"unit_code": unit, "role": who, "weakness": weakness, "measure": measure, "due_on": due}
    found = run(_ask("POST", f"/v1/reports/{_id(report_id)}/rectifications", role, as_unit, person, order))
    if as_json:
        print_json(found)
        return
    typer.echo(f"Rectification {found['rectification_id']} of {found['unit_code']}, due {found['due_on']}.")


def _id(report_id: str) -> str:
    return quote(report_id, safe="")


def _state(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    signed = f", signed by {found['signed_by']} ({found['signed_role']})" if found["state"] == "signed" else ""
    late = ", late" if found["late"] else ""
    typer.echo(f"{found['title']} {found['unit_code']} {found['period']}: {found['state']}{signed}{late}.")


def _cells(row: list[Any], columns: list[dict[str, Any]]) -> list[Any]:
    from shared.money import yuan_text

    kinds = [column["kind"] for column in columns]
    return [
        "–" if value is None else yuan_text(value) if kind == "fen" else value for value, kind in zip(row, kinds, strict=True)
    ]


async def _pages(path: str, role: str, unit: str | None) -> list[dict[str, Any]]:
    async with door("tiering", role, unit) as tiering:
        return await tiering.pages(path)


async def _ask(
    method: str, path: str, role: str, unit: str | None, person: str | None = None, body: dict[str, Any] | None = None
) -> Any:
    async with door("tiering", role, unit, person) as tiering:
        return await tiering.ask(method, path, body)


async def _fetch(path: str, role: str, unit: str | None) -> bytes:
    async with door("tiering", role, unit) as tiering:
        return await tiering.fetch(path)
