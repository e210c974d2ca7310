"""``nuncius user`` and ``nuncius team``: accounts and who shares with whom, for operators, straight on the database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from broker.cli.context import busy, context, err, out, print_json
from broker.cli.tables import show_table
from broker.errors import UsageError

if TYPE_CHECKING:
    from broker.store.engine import Store

__all__ = ["database", "team_app", "user_app"]

user_app = typer.Typer(help="Accounts: who there is, disabled or not, and their passwords.", no_args_is_help=True)
team_app = typer.Typer(help="Teams: who shares filters and watchlists with whom.", no_args_is_help=True)

User = Annotated[str, typer.Argument(help="Name of an account.")]
Team = Annotated[str, typer.Argument(help="Name of a team.")]
AsDocument = Annotated[bool, typer.Option("--json", help="As a JSON document.")]


@contextmanager
def database(ctx: typer.Context, *, only_reads: bool = False) -> Iterator[Store]:
    """The database alone, without log, filters and catalogues."""
    options = context(ctx)
    folder: Path = options.kept() if only_reads else options.data
    settings = options.settings()
    with busy("open"):
        from broker.wiring.database import open_database
    with open_database(settings, folder) as store:
        yield store


def ask_password() -> str:
    """A password, asked for twice on a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise UsageError("no password came on standard input: write it there as one line, or run this on a terminal")
    return line


@user_app.command("add")
def add(  # noqa: PLR0917 - each is an option of the command line
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, dashes, underscores.")],
    email: Annotated[str | None, typer.Option(help="Where to write to.")] = None,
    display: Annotated[str | None, typer.Option(help="The name as people write it.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="May see and change everything.")] = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="For tokens and OpenID Connect alone.")] = False,
    oidc_subject: Annotated[str | None, typer.Option(help="Issuer and subject of OpenID Connect, a space between.")] = None,
) -> None:
    """Make an account. The password is asked for, or read as a line from standard input.

    Examples: `nuncius user add hypatia --email hypatia@example.org` · `nuncius user add robot --no-password`
    """
    without = no_password or oidc_subject is not None
    password = None if without else ask_password()
    with database(ctx) as store:
        from broker.store import people

        people.add(store, name, email=email, display=display, admin=admin, password=password, oidc_subject=oidc_subject)
    err.print(f"account {escape(name)} is made: `nuncius token add {escape(name)} --scope read` makes a token", soft_wrap=True)


@user_app.command("list")
def listing(ctx: typer.Context, as_document: AsDocument = False) -> None:
    """All accounts.

    Example: `nuncius user list --json`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import people

        found = people.users(store)
    if as_document:
        print_json([asdict(user) for user in found])
        return
    rows = [
        (
            user.name,
            escape(user.display or ""),
            escape(user.email or ""),
            ", ".join(f"{team} (manager)" if role == "manager" else team for team, role in user.teams.items()),
            ", ".join(word for word, so in (("admin", user.admin), ("disabled", user.disabled)) if so),
        )
        for user in found
    ]
    show_table(out, ("name", "person", "email", "teams", "is"), rows)


@user_app.command("disable")
def disable(ctx: typer.Context, name: User) -> None:
    """Let nobody use an account: log-ins end, tokens are good no more. What it owns stays.

    Example: `nuncius user disable hypatia`
    """
    with database(ctx) as store:
        from broker.store import people

        people.set_disabled(store, name, True)
    err.print(f"account {escape(name)} is disabled")


@user_app.command("enable")
def enable(ctx: typer.Context, name: User) -> None:
    """Let an account be used again, and its tokens with it.

    Example: `nuncius user enable hypatia`
    """
    with database(ctx) as store:
        from broker.store import people

        people.set_disabled(store, name, False)
    err.print(f"account {escape(name)} can be used")


@user_app.command("password")
def password(ctx: typer.Context, name: User) -> None:
    """Give an account another password, asked for or read as a line from standard input; its log-ins end, its tokens stay.

    Example: `nuncius user password hypatia`
    """
    with database(ctx) as store:
        from broker.store import people

        people.get(store, name)
        people.set_password(store, name, ask_password())
    err.print(f"the password of {escape(name)} is changed")


@team_app.command("add")
def team_add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, dots, dashes, underscores.")],
    title: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    manager: Annotated[str | None, typer.Option(help="The account that says who is in it.")] = None,
) -> None:
    """Make a team.

    Example: `nuncius team add transients --manager hypatia`
    """
    with database(ctx) as store:
        from broker.store import teams

        teams.add(store, name, title=title, manager=manager)
    err.print(f"team {escape(name)} is made")


@team_app.command("list")
def team_list(ctx: typer.Context, as_document: AsDocument = False) -> None:
    """All teams, and who is in them.

    Example: `nuncius team list --json`
    """
    with database(ctx, only_reads=True) as store:
        from broker.store import teams

        found = teams.teams(store)
    if as_document:
        print_json([asdict(team) for team in found])
        return
    rows = [
        (
            team.name,
            escape(team.title or ""),
            ", ".join(f"{user} (manager)" if role == "manager" else user for user, role in team.members.items()),
        )
        for team in found
    ]
    show_table(out, ("name", "title", "members"), rows, prose={"members": 20})


@team_app.command("join")
def join(
    ctx: typer.Context,
    team: Team,
    user: User,
    manager: Annotated[bool, typer.Option("--manager", help="Says who is in the team.")] = False,
) -> None:
    """Take an account into a team, or change what it is there.

    Example: `nuncius team join transients hypatia --manager`
    """
    with database(ctx) as store:
        from broker.store import teams

        teams.join(store, team, user, "manager" if manager else "member")
    err.print(f"{escape(user)} is in team {escape(team)}")


@team_app.command("leave")
def leave(ctx: typer.Context, team: Team, user: User) -> None:
    """Take an account out of a team.

    Example: `nuncius team leave transients hypatia`
    """
    with database(ctx) as store:
        from broker.store import teams

        teams.leave(store, team, user)
    err.print(f"{escape(user)} is no longer in team {escape(team)}")
