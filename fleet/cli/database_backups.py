"""``fleet database backup``, ``restore`` and ``backup-made``."""

import os
import time
from pathlib import Path

import click

from fleet import backups, clock
from fleet import config as configuration
from fleet.access import Principal
from fleet.backups import Place
from fleet.cli.local_time import moment, show_in
from fleet.cli.output import application, json_option, ready_app, show_json
from fleet.config import Config
from fleet.crypto import vault_key_file
from fleet.db import schema_revision, transaction

_FOLDER = click.Path(file_okay=False, path_type=Path)
_PROGRAMS = click.option(
    "--programs", type=_FOLDER, metavar="FOLDER", help="Where PostgreSQL's programs are, if not on the path."
)


def _place(config: Config, programs: Path | None) -> Place:
    return Place(config.data_dir, config.session_database_url, programs)


@click.command()
@click.argument("to", type=_FOLDER)
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Then remove all backups in TO but the newest N.")
@_PROGRAMS
@json_option
def backup(to: Path, keep: int | None, programs: Path | None, *, as_json: bool) -> None:
    """Make a backup of database and data directory, in a new folder inside TO; the server may work meanwhile.

    It holds the secrets: keep TO where only the right people read it, and on another machine as well.
    """
    app = ready_app()
    config: Config = app.extensions["fleet_config"]
    now, begun = clock.now(), time.perf_counter()
    with app.app_context():
        revision = str(schema_revision())
        made = backups.make(_place(config, programs), to.absolute(), revision=revision, now=now)
        with transaction():
            backups.note(made.folder.name, by=Principal.command_line(), now=now)
    removed = backups.keep_newest(to, keep) if keep is not None else []
    seconds, size = round(time.perf_counter() - begun, 1), sum(made.sizes.values())
    if as_json:
        told = {"folder": str(made.folder), "made_at": now, "kind": made.kind, "seconds": seconds, "bytes": size}
        show_json({**told, "files": made.sizes, "removed": [str(one) for one in removed]})
        return
    click.echo(f"{made.folder}: {size:,} bytes in {seconds} s; what was committed before {moment(now)} is in it")
    if config.vault_key_file is not None:
        click.echo(f"Not in it: the key that opens what is sealed, {config.vault_key_file}; keep a copy elsewhere")
    for one in removed:
        click.echo(f"removed {one}")


@click.command()
@click.argument("folder", metavar="FROM", type=_FOLDER)
@click.option("--only-files", is_flag=True, help="Leave the database alone, which comes back by its own means.")
@_PROGRAMS
@json_option
def restore(folder: Path, programs: Path | None, *, only_files: bool, as_json: bool) -> None:
    """Put the backup in the folder FROM back where the settings lead: into an empty data directory and database.

    What is there is never written over: name other ones in FLEET_DATA_DIR and FLEET_DATABASE_URL, or move it away.
    """
    # Not by way of the application, which makes a data directory and a database where there are none.
    config = configuration.load(os.environ)
    show_in(config.timezone)
    begun = time.perf_counter()
    found = backups.restore(folder.absolute(), _place(config, programs), only_files=only_files)
    seconds, size = round(time.perf_counter() - begun, 1), sum(found.sizes.values())
    key = vault_key_file(config.secrets_dir, config.vault_key_file)
    if as_json:
        told = {"folder": str(folder), "made_at": found.made_at, "seconds": seconds, "bytes": size}
        show_json({**told, "data_dir": str(config.data_dir), "vault_key": key.is_file()})
        return
    click.echo(f"{config.data_dir}: {size:,} bytes in {seconds} s, as it was at {moment(found.made_at)}")
    if not key.is_file():
        click.echo(f"The key that opens what is sealed is not in the backup: bring it to {key}, or set FLEET_VAULT_KEY")
    click.echo("Now start the server, and look at `scripts/fleet doctor`.")


@click.command("backup-made")
@click.argument("name")
def backup_made(name: str) -> None:
    """Note that another tool has made a backup, so that the doctor knows; NAME says which tool or backup."""
    with application(writes=True):
        backups.note(name, by=Principal.command_line(), now=clock.now())
    click.echo("noted")
