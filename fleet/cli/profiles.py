"""``fleet profiles``: apps, restrictions and settings."""

import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.assignments import effect, places, publishing, releasing
from fleet.assignments.models import ProfileVersion, Scope
from fleet.cli.local_time import moment
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.cli.refusals import printable
from fleet.cli.wording import COMMAND
from profiles import catalogue
from profiles import profile as library
from profiles.vocabulary import VOCABULARY

_SHOWN = 20  # assignments that are told of after a profile is published


def _shown(key: str, value: Any) -> Any:
    """Return a value as lists may show it: only the file that can be edited (``--toml``) holds secrets."""
    return "(hidden)" if VOCABULARY[key].secret and value is not None else value


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Write, publish and compare profiles."""


@group.command("list")
@json_option
def list_profiles(*, as_json: bool) -> None:
    """List the profiles."""
    with application(writes=False):
        rows = publishing.listed()
    show_table(rows, ["name", "title", "published", "draft"], as_json=as_json)


@group.command("import")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--catalogue", "from_catalogue", is_flag=True, help="The ready-made school profiles.")
@click.option("--publish", is_flag=True, help="Publish them at once.")
def import_profiles(files: tuple[Path, ...], *, from_catalogue: bool, publish: bool) -> None:
    """Store profiles from TOML or JSON files as drafts."""
    if not files and not from_catalogue:
        raise click.UsageError("name files, or --catalogue")
    by, now = Principal.command_line(), clock.now()
    with application(writes=True):
        given = [publishing.read(path) for path in files] + (catalogue.load() if from_catalogue else [])
        done = []
        for profile in given:
            draft = publishing.save_draft(profile, by=by, now=now)
            if publish:
                publishing.publish(draft.profile, by=by, now=now)
            done.append((profile.name, draft.number, _left_behind(draft, now) if publish else []))
    for name, number, left in done:  # only now is it true
        click.echo(f"{name}: {'published' if publish else 'draft'} version {number}")
        _tell(left)


def _left_behind(version: ProfileVersion, now: datetime) -> list[str]:
    """Return a line for each assignment that stays with an older version: which, where, and what moves it."""
    lines = []
    for one, place in places.left_behind(version, by=Principal.command_line(), now=now):
        where = {
            Scope.MUNICIPALITY: ["--municipality"],
            Scope.SCHOOL: ["--school", place.name or ""],
            Scope.CLASS: ["--class", place.name or "", "--school", place.school or ""],
            Scope.DEVICE: ["--device", place.name or ""],
        }[one.scope]
        times = [
            word
            for option, at in (("--from", one.starts_at), ("--until", one.ends_at))
            if at is not None
            for word in (option, moment(at))
        ]
        move = f"{COMMAND} assignments create {shlex.join([version.profile.name, *where, *times])}"
        if times:  # only an open-ended one takes the place of its like
            move += f" && {COMMAND} assignments withdraw {one.id}"
        lines.append(
            printable(f"#{one.id} {place.name or 'municipality'}, version {one.profile_version.number}: {move}")
        )
    return lines


def _tell(left: list[str]) -> None:
    if left:
        click.echo(f"{len(left)} assignment(s) still have an older version; to move them, run:")
        for line in left[:_SHOWN]:
            click.echo(f"  {line}")
        if len(left) > _SHOWN:
            click.echo(f"  … and {len(left) - _SHOWN} more: {COMMAND} assignments list")


@group.command()
@click.argument("name")
@click.option("--everywhere", is_flag=True, help="Move all that is assigned of the profile to it.")
@click.option("--note", help="What changed and why.")
@click.option("--confirm", "confirmed", type=int, help="How many tablets may lose the only Wi-Fi they know.")
@json_option
def publish(name: str, note: str | None, confirmed: int | None, *, everywhere: bool, as_json: bool) -> None:
    """Publish a profile's draft; from then on the version never changes."""
    now, by = clock.now(), Principal.command_line()
    with application(writes=True):
        done = releasing.release(
            publishing.find(name), note=note, everywhere=everywhere, confirmed=confirmed, by=by, now=now
        )
        shown = {"profile": name, "version": done.version.number}
        left = _left_behind(done.version, now)
    if as_json:
        show_json({**shown, "assignments_moved": len(done.moved), "tablets_changed": done.tablets})
        return
    click.echo(f"{name}: published version {shown['version']}")
    if everywhere:
        click.echo(f"{len(done.moved)} assignment(s) moved to it; {done.tablets} tablet(s) get a new schedule")
    _tell(left)


@group.command("effect")
@click.argument("name")
@json_option
def show_effect(name: str, *, as_json: bool) -> None:
    """Say what publishing a profile's draft everywhere would do; nothing is changed."""
    now = clock.now()
    with application(writes=False):
        profile = publishing.find(name)
        change = releasing.change_of(profile, publishing.draft_of(profile).settings, now=now)
        found = effect.work_out(change, now=now)
    rows = [{"setting": one.key, "tablets": one.tablets, "looser": one.looser} for one in found.settings]
    if as_json:
        lost = {"without_wifi": found.without_wifi, "lost_apps": found.lost_apps}
        show_json({"tablets": found.tablets, "schools": len(found.schools), "settings": rows, **lost})
        return
    click.echo(f"{found.tablets} tablet(s) at {len(found.schools)} school(s) would get other settings")
    if found.without_wifi:
        click.echo(f"{found.without_wifi} tablet(s) would lose the only Wi-Fi they know")
    for app, count in found.lost_apps.items():
        click.echo(f"{app} need not be installed any more on {count} tablet(s)")
    if rows:
        show_table(rows, ["setting", "tablets", "looser"], as_json=False)


@group.command()
@click.argument("name")
@click.argument("number", type=int)
@json_option
def restore(name: str, number: int, *, as_json: bool) -> None:
    """Make a draft that says what an older version said."""
    with application(writes=True):
        draft = releasing.restore(publishing.find(name), number, by=Principal.command_line(), now=clock.now())
        shown = {"profile": name, "restored": number, "draft": draft.number}
    if as_json:
        show_json(shown)
    else:
        click.echo(f"{name}: draft version {shown['draft']} says what version {number} says")


@group.command()
@click.argument("name")
def discard(name: str) -> None:
    """Throw a profile's draft away, and the profile with it where it has nothing else."""
    with application(writes=True):
        publishing.discard_draft(publishing.find(name), by=Principal.command_line(), now=clock.now())
    click.echo(f"{name}: the draft is discarded")


@group.command()
@click.argument("name")
@click.option(
    "--version", "number", type=int, help="This version, a draft too; the newest published one where not given."
)
@click.option("--draft", is_flag=True, help="The draft.")
@click.option("--toml", "as_toml", is_flag=True, help="Write it as a file that can be edited and imported.")
@json_option
def show(name: str, number: int | None, *, draft: bool, as_toml: bool, as_json: bool) -> None:
    """Show a profile's settings."""
    if draft and number is not None:
        raise click.UsageError("either --draft or --version")
    with application(writes=False):
        profile = publishing.find(name)
        if draft:
            version = publishing.draft_of(profile)
        else:
            version = publishing.published(profile) if number is None else publishing.numbered(profile, number)
        is_draft = version.published_at is None
        title, settings, found = version.called, version.settings, version.number
    if as_toml:
        click.echo(library.dump_toml(library.Profile(name, title, settings)), nl=False)
    elif as_json:
        hidden = {key: _shown(key, value) for key, value in settings.items()}
        show_json({"name": name, "title": title, "version": found, "draft": is_draft, "settings": hidden})
    else:
        rows = [{"setting": key, "value": _shown(key, value)} for key, value in settings.items()]
        show_table(rows, ["setting", "value"], as_json=False)


@group.command()
@click.argument("name")
@json_option
def history(name: str, *, as_json: bool) -> None:
    """List a profile's versions, newest first."""
    with application(writes=False):
        rows = [
            {"version": one.number, "published_at": one.published_at, "digest": one.digest[:12], "note": one.note}
            for one in publishing.versions(publishing.find(name))
        ]
    show_table(rows, ["version", "published_at", "digest", "note"], as_json=as_json)


@group.command()
@click.argument("name")
@click.argument("old", type=int)
@click.argument("new", type=int)
@json_option
def diff(name: str, old: int, new: int, *, as_json: bool) -> None:
    """Compare two versions; a draft has the highest number."""
    with application(writes=False):
        known = {one.number: one.settings for one in publishing.versions(publishing.find(name))}
    for number in (old, new):
        if number not in known:
            raise click.BadParameter(f"{name} has no version {number}")
    rows = [
        {
            "setting": one.key,
            "old": _shown(one.key, one.old),
            "new": _shown(one.key, one.new),
            "direction": one.direction,
        }
        for one in library.diff(known[old], known[new])
    ]
    show_table(rows, ["setting", "old", "new", "direction"], as_json=as_json)
