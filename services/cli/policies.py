"""Commands about policies: what counts where, and the way of a new version from a file to its day."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.client import Door, PersonOption, Refused, RoleOption, UnitOption, door
from services.cli.common import CommandError, JsonFlag, print_json, print_table, run

policy = typer.Typer(
    no_args_is_help=True,
    help="Versions of the tiering policy: the numbers and tables that decide tiers, movements, duties and reports.\n\n"
    "A version is a TOML file that names only what it changes, for the whole organisation or one unit:\n\n"
    '`policy_version = "B1.1"`  `unit = "B1"`  `[tiers]`  `key_top_n = 8`\n\n'
    "Its way: `crm policy draft FILE`, `crm policy try FILE --from 2017-10 --to 2018-08`, then somebody else "
    "`crm policy approve VERSION --as NAME`, then `crm policy publish VERSION --from DAY`. Nobody edits a published one.",
)
POLL_SECONDS = 0.5
Version = Annotated[str, typer.Argument(help="Name of the version, for instance 2008-new.")]
File = Annotated[str, typer.Argument(help="TOML file of the version, - for standard input.")]


def register(app: typer.Typer) -> None:
    """Add the command group of this module."""
    app.add_typer(policy, name="policy")


@policy.command("list")
def list_versions(
    unit: Annotated[str | None, typer.Option("--unit", help="Only of this unit and those below it.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="draft, tried, approved or published.")] = None,
    role: RoleOption = "ops_hq",
    as_unit: UnitOption = None,
    as_json: JsonFlag = False,
) -> None:
    """List the versions, whose they are, how far they are and from when they count."""
    query = "&".join(f"{name}={quote(value)}" for name, value in (("unit", unit), ("state", state)) if value)
    found = run(_pages(f"/v1/policies?{query}" if query else "/v1/policies", role, as_unit))
    if as_json:
        print_json(found)
        return
    rows = [
        [one["policy_version"], one["unit_code"] or "(all)", one["state"], one["effective_from"], one["author"]] for one in found
    ]
    print_table("", ["version", "unit", "state", "from", "author"], rows)


@policy.command()
def show(version: Version, role: RoleOption = "ops_hq", as_unit: UnitOption = None, as_json: JsonFlag = False) -> None:
    """Print a version as its file was written, and the way it has gone."""
    found = run(_ask("GET", f"/v1/policies/{quote(version, safe='')}", None, role, as_unit, None))
    if as_json:
        print_json(found)
        return
    typer.echo(found["document"].rstrip())
    for what, who, when in (("drafted", "author", "drafted_at"), ("approved", "approver", "approved_at")):
        if found[when]:
            typer.echo(f"# {what} by {found[who]} on {found[when][:10]}")
    typer.echo(f"# {found['state']}" + (f" from {found['effective_from']}" if found["effective_from"] else ""))


@policy.command()
def check(file: File, role: RoleOption = "ops_hq", as_unit: UnitOption = None, as_json: JsonFlag = False) -> None:
    """Say what is wrong with a file, with the lines; keeps nothing. Exit code 2 where something is."""
    found = run(_send("/v1/policy-checks", file, role, as_unit, None))
    print_json(found) if as_json else typer.echo(f"{file}: good; sets {', '.join(found['sets']) or 'nothing'}.")


@policy.command()
def draft(
    file: File, role: RoleOption = "ops_hq", as_unit: UnitOption = None, person: PersonOption = None, as_json: JsonFlag = False
) -> None:
    """Keep a file as a draft; an older draft of the same version is replaced."""
    found = run(_send("/v1/policies", file, role, as_unit, person))
    _said(found, as_json)


@policy.command("try")
def try_version(
    file: Annotated[str, typer.Argument(help="TOML file, or the name of a version that is drafted.")],
    first: Annotated[str, typer.Option("--from", help="First month, like 2017-10.")],
    last: Annotated[str, typer.Option("--to", help="Last month, included; it has to be closed.")],
    role: RoleOption = "ops_hq",
    as_unit: UnitOption = None,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what a version would have decided on real history, beside today's policy; live traffic is not touched.

    Who moves up and down by branch, movements gained and lost, tasks by role and month, entitlements, reports. A file is drafted
    first. The result is kept: share it by its id (`crm policy trial ID`).
    """
    found, branches = run(
        _try(
            file, _read(file) if file == "-" or Path(file).exists() else None, {"from": first, "to": last}, role, as_unit, person
        )
    )
    _show_trial(found, branches, as_json)


@policy.command()
def trial(
    trial_id: Annotated[str, typer.Argument(help="Id of the trial.")],
    role: RoleOption = "ops_hq",
    as_unit: UnitOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Print the result of a trial again: the part of it that concerns your unit."""
    found, branches = run(_read_trial(trial_id, role, as_unit))
    _show_trial(found, branches, as_json)


@policy.command()
def approve(
    version: Version,
    role: RoleOption = "ops_hq",
    as_unit: UnitOption = None,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Approve a version that was tried; its author cannot."""
    _said(run(_ask("POST", f"/v1/policies/{quote(version, safe='')}/approval", None, role, as_unit, person)), as_json)


@policy.command()
def publish(
    version: Version,
    day: Annotated[
        str | None, typer.Option("--from", help="First day that it counts, like 2018-10-01; default: the file's.")
    ] = None,
    role: RoleOption = "ops_hq",
    as_unit: UnitOption = None,
    person: PersonOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Publish an approved version for a day that lies in no closed month."""
    body = {"effective_from": day}
    _said(run(_ask("POST", f"/v1/policies/{quote(version, safe='')}/publication", body, role, as_unit, person)), as_json)


@policy.command()
def effective(
    unit: Annotated[str, typer.Argument(help="Code of the unit.")],
    day: Annotated[str | None, typer.Option("--day", help="Default: today.")] = None,
    role: RoleOption = "ops_hq",
    as_unit: UnitOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Print what counts for a unit: each value, from whom it has it, and whether it may change it."""
    query = f"?unit={quote(unit)}" + (f"&day={quote(day)}" if day else "")
    found = run(_ask("GET", f"/v1/policies/effective{query}", None, role, as_unit, None))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            one["key"],
            f"{len(one['value'])} rows" if one["key"] in {"responsibility", "reports"} else _short(one["value"]),
            f"{one['unit_code'] or '(all)'} {one['policy_version']}" if one["policy_version"] else "default",
            f"by {one['locked_by'] or '(all)'}" if one["locked"] else "",
            "yes" if one["may_change"] else "",
        ]
        for one in found["values"]
    ]
    title = f"{found['unit_code']} on {found['day']}: {found['policy_version']}"
    print_table(title, ["key", "value", "from", "locked", "may change"], rows)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _said(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    since = f" from {found['effective_from']}" if found["state"] == "published" else ""
    typer.echo(f"{found['policy_version']} ({found['unit_code'] or 'whole organisation'}) is {found['state']}{since}.")


def _show_trial(found: dict[str, Any], branches: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json({**found, "branches": branches})
        return
    today, tried = (found["compared_with"] or ["today"])[0], found["policy_version"]
    months = f"{found['from']} to {found['to']}"
    rows = [
        [one["unit_code"], *(_ways(one["total"], axis) for axis in ("service_tier", "grade", "band")), _found(one["total"])]
        for one in branches
    ]
    changed = [row for row in rows if set(row[1:]) != {"0/0"}]
    columns = ["branch", "tier up/down", "grade up/down", "band up/down", "movements +/-"]
    print_table(f"{tried} beside {today}, {months}", columns, changed)
    typer.echo(f"Nothing changes in {len(rows) - len(changed)} of {len(rows)} branches.")
    tasks = [
        [month, role, sides.get("today", 0), sides.get("tried", 0)]
        for month, counts in sorted(found["months"].items())
        for role, sides in sorted(counts.get("tasks", {}).items())
    ]
    print_table("Tasks", ["month", "role", today, tried], tasks)
    rights = [
        [right, change, number]
        for right in ("green_channel", "special_claims", "points_plan", "focus_general")
        for change, number in sorted(found["total"].get(right, {}).get("changes", {}).items())
    ]
    print_table("Entitlements", ["entitlement", "change", "accounts"], rights)
    reports = [
        [one["type"], one["today_due_day"], one["tried_due_day"], one["becomes"], one["issues"]] for one in found["reports"]
    ]
    print_table("Reports", ["report", f"due, {today}", f"due, {tried}", "becomes", "issues that read otherwise"], reports)
    typer.echo(f"Trial {found['trial_id']}: crm policy trial {found['trial_id']}")


def _ways(total: dict[str, Any], axis: str) -> str:
    counts = total.get(axis, {})
    return f"{counts.get('up', 0)}/{counts.get('down', 0)}"


def _found(total: dict[str, Any]) -> str:
    kinds = [kind for rule_set in total.get("movements", {}).values() for kind in rule_set.values()]
    return f"{sum(kind['gained'] for kind in kinds)}/{sum(kind['lost'] for kind in kinds)}"


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.", 2) from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8.", 2) from None


async def _ask(method: str, path: str, body: Any, role: str, unit: str | None, person: str | None) -> Any:
    async with door("tiering", role, unit, person) as tiering:
        return await tiering.ask(method, path, body)


async def _pages(path: str, role: str, unit: str | None) -> list[dict[str, Any]]:
    async with door("tiering", role, unit) as tiering:
        return await tiering.pages(path)


async def _send(path: str, file: str, role: str, unit: str | None, person: str | None) -> Any:
    document = _read(file)
    async with door("tiering", role, unit, person) as tiering:
        return await _post(tiering, path, file, document)


async def _post(tiering: Door, path: str, file: str, document: str) -> Any:
    try:
        return await tiering.ask("POST", path, {"document": document})
    except Refused as refused:
        errors = refused.problem.get("errors")
        if refused.problem.get("type") != "/problems/policy-invalid" or not errors:
            raise
        said = (f"{file}:{one['line']}: {one['key']}: {one['reason']}".replace(": : ", ": ") for one in errors)
        raise CommandError("\n".join(said), 2) from None


async def _try(
    file: str, document: str | None, months: dict[str, str], role: str, unit: str | None, person: str | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    async with door("tiering", role, unit, person) as tiering:
        version = file if document is None else (await _post(tiering, "/v1/policies", file, document))["policy_version"]
        asked = await tiering.ask("POST", f"/v1/policies/{quote(version, safe='')}/trials", months)
        while (found := await tiering.ask("GET", f"/v1/policy-trials/{asked['trial_id']}"))["state"] in {"waiting", "running"}:
            typer.echo(f"\r{found['state']}: {found['done_steps']} of {found['steps']} closes", nl=False, err=True)
            await asyncio.sleep(POLL_SECONDS)
        typer.echo("", err=True)
        return await _with_branches(tiering, found)


async def _read_trial(trial_id: str, role: str, unit: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    async with door("tiering", role, unit) as tiering:
        return await _with_branches(tiering, await tiering.ask("GET", f"/v1/policy-trials/{quote(trial_id, safe='')}"))


async def _with_branches(tiering: Door, found: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if found["state"] == "failed":
        raise CommandError(f"The trial failed: {found['error']}.")
    return found, await tiering.pages(f"/v1/policy-trials/{found['trial_id']}/branches")
