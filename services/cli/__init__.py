"""The command `crm`: everything an operator does with the suite.

Exit codes: 0 done, 1 it could not be done now, 2 it was asked wrongly, 3 done but something was left out. Each group of
commands is a module; what a command needs is imported when it runs, because start-up time counts.
"""

from __future__ import annotations

import sys

import typer

from services.cli import designer, events, live, local, policies, processes, reports, scores, tiers

app = typer.Typer(
    name="crm",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Express CRM: customers, tiers, maintenance tasks and tickets of an express carrier.\n\n"
    "`crm suite` starts everything on this machine; the other commands then find it by themselves through `.local/`. "
    "Servers of your own are named by settings (docs/settings.md).",
)
local.register(app)
processes.register(app)
events.register(app)
tiers.register(app)
live.register(app)
scores.register(app)
policies.register(app)
reports.register(app)
designer.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line (of this process unless given); what a person can mend is one sentence on standard error."""
    from services.cli.common import CommandError

    try:
        app(arguments)
    except CommandError as problem:
        typer.echo(problem, err=True)
        sys.exit(problem.code)
