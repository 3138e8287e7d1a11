"""Commands about reports that people put together, and about key figures."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.client import PersonOption, RoleOption, UnitOption, door
from services.cli.common import CommandError, JsonFlag, print_json, print_table, run

dataset = typer.Typer(no_args_is_help=True, help="Reports of your own: what they are made of, saving, answering, exporting them.")
kpi = typer.Typer(no_args_is_help=True, help="Key figures, service cost against service level, average amount per account.")
ROLE = "ops_hq"
FORMATS = ("csv", "xlsx", "pdf", "html", "json")
WAIT_SECONDS = 600
Unit = Annotated[str | None, typer.Option("--unit", help="The unit it is about, with those below it; default: your own.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write a file: .html, .pdf, .xlsx or .json by its name.")]
ReportId = Annotated[str, typer.Argument(help="Id of the saved report (`crm dataset reports`).")]
EXAMPLE = """Example of a definition:

    {"dataset": "freight", "group": ["month", "branch_code"], "measures": [{"kind": "sum", "field": "amount_fen"}],
     "filters": [{"field": "amount_fen", "op": "gt", "value": 0}], "period": {"last_months": 12}, "chart": "line"}"""


def register(app: typer.Typer) -> None:
    """Add the command groups of this module."""
    app.add_typer(dataset, name="dataset")
    app.add_typer(kpi, name="kpi")


@dataset.command("list")
def list_datasets(
    name: Annotated[str | None, typer.Argument(help="Show the fields of this dataset.")] = None, as_json: JsonFlag = False
) -> None:
    """List the datasets, or the fields of one with type and source column (`crm dataset list freight`)."""
    found = run(_ask("GET", "/v1/datasets"))["items"]
    chosen = [one for one in found if name in (None, one["name"])]
    if not chosen:
        raise CommandError(f"There is no dataset {name}: {', '.join(one['name'] for one in found)}.", 2)
    if as_json:
        print_json(chosen)
    elif name is None:
        print_table("", ["dataset", "what", "fields"], [[one["name"], one["label"], len(one["fields"])] for one in chosen])
    else:
        rows = [[one["name"], one["label"], one["kind"], one["source"]] for one in chosen[0]["fields"]]
        print_table(chosen[0]["label"], ["field", "what", "type", "source"], rows)


@dataset.command("save", help=f"Save a report from a JSON file with its definition.\n\n{EXAMPLE}")
def save(
    file: Annotated[Path, typer.Argument(help="File with the definition.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option(help="Name of the report.")],
    shared: Annotated[
        str, typer.Option(help="private, unit (its people and those above) or subtree (those below, too).")
    ] = "private",
    schedule: Annotated[str | None, typer.Option(help="weekly, monthly or quarterly; default: none.")] = None,
    file_format: Annotated[str, typer.Option("--format", help="csv, xlsx, pdf, html or json.")] = "xlsx",
    as_unit: UnitOption = None,
    role: RoleOption = ROLE,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Save a report."""
    try:
        definition = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandError(f"{file} is no JSON: {error}.", 2) from None
    body = {"name": name, "shared": shared, "schedule": schedule, "format": file_format, "definition": definition}
    found = run(_ask("POST", "/v1/report-definitions", body, as_unit, role, person))
    if as_json:
        print_json(found)
    else:
        typer.echo(f"Saved {found['name']} as {found['definition_id']}, version {found['version']}.")


@dataset.command("reports")
def reports(as_unit: UnitOption = None, role: RoleOption = ROLE, person: PersonOption = None, as_json: JsonFlag = False) -> None:
    """List the saved reports that you may see."""
    found = run(_pages("/v1/report-definitions", as_unit, role, person))
    if as_json:
        print_json(found)
        return
    names = ("definition_id", "name", "unit_code", "shared", "schedule", "format", "version", "owner")
    print_table("", list(names), [[one[name] for name in names] for one in found])


@dataset.command("run")
def run_report(
    report: ReportId,
    unit: Unit = None,
    output: Output = None,
    as_unit: UnitOption = None,
    role: RoleOption = ROLE,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Answer a saved report now; one that reads too much becomes an export."""
    found = run(_ask("POST", f"/v1/report-definitions/{report}/run{_query(unit=unit)}", None, as_unit, role, person))
    if found["state"] == "waiting" and not as_json:
        typer.echo(f"It reads too much for an answer: export {found['export']['export_id']} was asked for.")
    else:
        _show(found, found["document"], output, as_json)


@dataset.command("export")
def export(
    report: ReportId,
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", dir_okay=False)],
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv, xlsx, pdf, html or json; default: by the name.")
    ] = None,
    unit: Unit = None,
    as_unit: UnitOption = None,
    role: RoleOption = ROLE,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Export a saved report as a file, wait for it, and check its SHA-256."""
    wanted = file_format or output.suffix.removeprefix(".")
    if wanted not in FORMATS:
        raise CommandError(f"{output} has no format: name one of {', '.join(FORMATS)}.", 2)
    asked = {"definition_id": report, "format": wanted}
    found, content = run(_export(f"/v1/exports{_query(unit=unit)}", asked, as_unit, role, person))
    output.write_bytes(content)
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{output}: {found['rows_done']} rows, {found['size']} bytes, SHA-256 {found['sha256']}.")


@dataset.command("exports")
def exports(as_unit: UnitOption = None, role: RoleOption = ROLE, person: PersonOption = None, as_json: JsonFlag = False) -> None:
    """List exports, newest first, with their progress."""
    found = run(_pages("/v1/exports", as_unit, role, person))
    if as_json:
        print_json(found)
        return
    names = ("export_id", "name", "about_unit", "format", "state", "progress", "rows_done", "requested_at", "problem")
    print_table("", list(names), [[one[name] for name in names] for one in found])


@kpi.command("show")
def show_kpis(
    unit: Unit = None,
    month: Annotated[str | None, typer.Option(help="Month as YYYY-MM; default: the last one closed.")] = None,
    output: Output = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the six key figures with formula, owner, target and trend; what nobody publishes is "no data"."""
    found = run(_ask("GET", f"/v1/kpis{_query(unit=unit, month=month)}"))
    _show(found, found["document"], output, as_json)


@kpi.command("service-levels")
def service_levels(
    unit: Unit = None,
    quarter: Annotated[str | None, typer.Option(help="Quarter as YYYY-Qn; default: the last one closed.")] = None,
    output: Output = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what keeping accounts cost in a quarter and what they shipped, by tier, with the marginal view."""
    found = run(_ask("GET", f"/v1/service-levels{_query(unit=unit, quarter=quarter)}"))
    _show(found, found["document"], output, as_json)


@kpi.command("average-amounts")
def average_amounts(unit: Unit = None, output: Output = None, as_json: JsonFlag = False) -> None:
    """Show the average amount per account and year of a unit and those below it."""
    found = run(_ask("GET", f"/v1/average-amounts{_query(unit=unit)}"))
    _show(found, found["document"], output, as_json)


def _show(found: dict[str, Any], document: dict[str, Any], output: Path | None, as_json: bool) -> None:
    """Print an answer's tables, or write its document as a file."""
    from services.tiering.rendering.figures import shown

    if output is not None:
        output.write_bytes(_rendered(document, output.suffix.removeprefix(".")))
        typer.echo(f"Written: {output}.")
    elif as_json:
        print_json(found)
    else:
        for table in (table for section in document["sections"] for table in section["tables"]):
            kinds = [column["kind"] for column in table["columns"]]
            rows = [[shown(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in table["rows"]]
            print_table(table["title"], [column["label"] for column in table["columns"]], rows)
        for note in document["notes"]:
            typer.echo(note)


def _rendered(document: dict[str, Any], file_format: str) -> bytes:
    from services.tiering.rendering import html
    from services.tiering.rendering import json as json_document

    described = json_document.read(document)
    if file_format == "pdf":
        from services.tiering.rendering import pdf

        return pdf.render(described)
    if file_format == "xlsx":
        from services.tiering.rendering import xlsx

        return xlsx.render(described)
    if file_format not in ("html", "json"):
        raise CommandError("A document is written as .html, .pdf, .xlsx or .json.", 2)
    rendered: str = html.render(described) if file_format == "html" else json_document.render(described)
    return rendered.encode()


def _query(**values: str | None) -> str:
    from urllib.parse import urlencode

    given = {name: value for name, value in values.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


async def _ask(
    method: str, path: str, body: Any = None, as_unit: str | None = None, role: str = ROLE, person: str | None = None
) -> Any:
    async with door("tiering", role, as_unit, person) as tiering:
        return await tiering.ask(method, path, body)


async def _pages(path: str, as_unit: str | None, role: str, person: str | None) -> list[dict[str, Any]]:
    async with door("tiering", role, as_unit, person) as tiering:
        return await tiering.pages(path)


async def _export(path: str, asked: Any, as_unit: str | None, role: str, person: str | None) -> tuple[dict[str, Any], bytes]:
    """Ask for a file and wait for it. Raises CommandError where it cannot be made, or did not arrive whole."""
    from hashlib import sha256

    async with door("tiering", role, as_unit, person) as tiering:
        found: dict[str, Any] = await tiering.ask("POST", path, asked)
        async with asyncio.timeout(WAIT_SECONDS):
            while found["state"] in ("waiting", "running"):
                await asyncio.sleep(0.5)
                found = await tiering.ask("GET", f"/v1/exports/{found['export_id']}")
        if found["state"] != "done":
            raise CommandError(f"The export failed: {found['problem']}")
        content = await tiering.fetch(f"/v1/exports/{found['export_id']}/file")
    if sha256(content).hexdigest() != found["sha256"]:
        raise CommandError("The file did not arrive whole: its SHA-256 differs.")
    return found, content
