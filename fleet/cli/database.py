"""``fleet database``: create and upgrade the database, back it up, move it to another one."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from fleet import clock, copying, upgrading
from fleet.cli.database_backups import backup, backup_made, restore
from fleet.cli.local_time import moment, show_in
from fleet.cli.output import EXIT_REFUSED, ErrorsAsLines, json_option, make_app, show_json, show_table
from fleet.config import Config, database_url
from fleet.copying import Compared

_LISTED = ["table", "rows", "rows_there", "digest", "same"]
_TOLD_EVERY_S = 5.0


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Create and upgrade the database, back it up, move it to another one."""


for _one in (backup, restore, backup_made):
    group.add_command(_one)


@group.command()
def upgrade() -> None:
    """Bring the database to this version's shape; creates it where there is none."""
    with make_app().app_context():
        upgrading.upgrade()
        is_finished = upgrading.finish()
    click.echo("database is up to date")
    if not is_finished:
        click.echo("somebody else is already making what takes longer: indexes and rows of large tables")


def _two(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the addresses of two databases to a command."""
    to = click.option("--to", "target", required=True, metavar="URL", help="The other database.")
    source = click.option("--from", "source", metavar="URL", help="The database; where not given, this server's own.")
    return source(to(command))


def _addresses(config: Config, source: str | None, target: str) -> tuple[str, str]:
    told = config.database_url if source is None else database_url(source, variable="--from")
    return told, database_url(target, variable="--to")


class Teller:
    """Says on standard error how far it is, now and then."""

    def __init__(self) -> None:
        self.begun = self._last = time.perf_counter()

    def __call__(self, step: str, table: str, rows: int, of: int) -> None:
        """Say it where it was last said a while ago."""
        if (here := time.perf_counter()) - self._last >= _TOLD_EVERY_S:
            self._last = here
            click.echo(f"{step} {rows:,} of {of:,} rows ({rows * 100 // max(of, 1)} %): {table}", err=True)

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return round(time.perf_counter() - self.begun, 1)


@group.command()
@_two
@click.option("--rehearse", is_flag=True, help="Copy and verify, then take it back; also beside a running server.")
@json_option
def copy(source: str | None, target: str, *, rehearse: bool, as_json: bool) -> None:
    """Copy the database into another, empty one, all of it or nothing, and verify before it counts.

    Stop the server first: what it writes after the copy has begun is not in it.
    """
    config: Config = make_app().extensions["fleet_config"]
    show_in(config.timezone)
    source_url, target_url = _addresses(config, source, target)
    now, teller = clock.now(), Teller()
    compared = copying.copy(source_url, target_url, now=now, progress=teller, rehearses=rehearse)
    rows, seconds = sum(one.source.rows for one in compared), teller.seconds
    if as_json:
        told = {"from": copying.shown(source_url), "to": copying.shown(target_url), "begun_at": now, "rows": rows}
        show_json({**told, "seconds": seconds, "rehearsed": rehearse, "tables": _rows(compared)})
        return
    _show(compared)
    click.echo(
        f"\n{rows:,} rows in {len(compared)} tables in {seconds} s; count and digest of each table are the same."
    )
    if rehearse:
        click.echo("Only rehearsed: everything was taken back, and the target is as empty as before.")
        click.echo(f"The copy itself would do the same, and take about as long as this: {seconds} s.")
    _say_what_else(config, target_url, begun=moment(now), rehearses=rehearse)


def _say_what_else(config: Config, target_url: str, *, begun: str, rehearses: bool) -> None:
    key, shown = config.vault_key_file or config.secrets_dir, copying.shown(target_url)
    stopped = "stop the server before the copy" if rehearses else "the server has to have been stopped before"
    password = " (with its password)" if "***" in shown else ""
    click.echo(f"""
What is not in the copy:
- whatever was written after {begun}: {stopped};
- files: packages of apps, reports to fetch and secrets stay in {config.data_dir} (FLEET_DATA_DIR);
  servers on other machines need them too;
- the key that opens what is sealed: the servers need the one in {key}.
Then set FLEET_DATABASE_URL to {shown}{password} and start the server.""")


@group.command()
@_two
@json_option
def compare(source: str | None, target: str, *, as_json: bool) -> None:
    """Compare two databases table by table: rows, and a digest of what they mean. Ends with 1 where they differ."""
    source_url, target_url = _addresses(make_app().extensions["fleet_config"], source, target)
    compared = copying.compare(source_url, target_url, progress=Teller())
    different = [one.table for one in compared if not one.is_same]
    if as_json:
        told = {"from": copying.shown(source_url), "to": copying.shown(target_url), "same": not different}
        show_json({**told, "tables": _rows(compared)})
    else:
        _show(compared)
        click.echo(f"\n{len(different)} of {len(compared)} tables differ." if different else "\nBoth hold the same.")
    if different:
        click.get_current_context().exit(EXIT_REFUSED)


def _show(compared: Sequence[Compared]) -> None:
    """Write a table of those that have rows, with the beginnings of the digests."""
    rows = [{**row, "digest": row["digest"][:12]} for row in _rows(compared) if row["rows"] or row["rows_there"]]
    show_table(rows, _LISTED, as_json=False)
    if empty := len(compared) - len(rows):
        click.echo(f"and {empty} tables that are empty on both sides")


def _rows(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    return [
        {
            "table": one.table,
            "rows": one.source.rows,
            "rows_there": one.target.rows,
            "digest": one.source.digest,
            "digest_there": one.target.digest,
            "same": one.is_same,
        }
        for one in compared
    ]
