"""``fleet devices``: tablets."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.devices_findings import findings, marked, place
from fleet.cli.devices_why import why
from fleet.cli.moments import Moment, instant
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table, text
from fleet.devices import codes, delivery, life, queries, reported
from fleet.devices.models import Device, DeviceLife, Platform
from fleet.schools import queries as schools

_COLUMNS = ["serial", "asset_tag", "model", "school", "class", "life", "last_seen_at", "profile"]
_ANY = "all"
_LIVES = [one.value for one in DeviceLife]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Look after tablets."""


for command in (why, findings):
    group.add_command(command)


def _plain(device: Device) -> dict[str, Any]:
    return {
        "serial": device.serial,
        "asset_tag": device.asset_tag,
        "model": device.model,
        "platform": device.platform.value,
        **place(device),
        "cart": device.cart,
        "life": device.life.value,
        "last_seen_at": device.state.last_seen_at,
        "profile": queries.profile_state(device.state),
        "has_findings": device.state.has_findings,
    }


def _says(device: Device, flag: str) -> bool | None:
    """Return what an iPad told of itself: whether it is ``supervised``, or closed (``lost_mode``)."""
    told: bool | None = ((device.state.facts or {}).get("flags") or {}).get(flag)
    return told


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.option("--allow-moves", is_flag=True, help="Yes, move tablets in use to where the list has them.")
@json_option
def import_list(file: Path, *, dry_run: bool, allow_moves: bool, as_json: bool) -> None:
    """Import the supplier's delivery list (CSV)."""
    by = Principal.command_line()
    with application(writes=not dry_run):
        if dry_run:
            plan = delivery.propose(file, by=by)
        else:
            plan = delivery.import_list(file, allow_moves=allow_moves, by=by, now=clock.now())
    counts = plan.counts()
    if as_json:
        differences = [asdict(one) for one in plan.differences]
        told = {"applied": not dry_run, **counts, "moved": plan.moved, "differences": differences}
        show_json({**told, "ignored_columns": plan.ignored})
        return
    for one in plan.differences:
        click.echo(f"{one.serial}: {one.column} {one.old or '-'} -> {one.new or '-'}")
    if dry_run and plan.moved and not allow_moves:
        click.echo(f"{len(plan.moved)} tablet(s) in use would be moved; the import asks for --allow-moves")
    verb = "would be" if dry_run else "are"
    click.echo(f"{counts['added']} {verb} added, {counts['changed']} {verb} changed, {counts['unchanged']} stay")
    if plan.ignored:
        click.echo(f"columns that mean nothing here: {', '.join(plan.ignored)}")


@group.command("list")
@click.option("--school", help="Only this school's.")
@click.option("--class", "class_title", help="Only this class's (with --school where several have it).")
@click.option("--life", "life_", type=click.Choice(_LIVES), help="Only those in this state.")
@click.option("--text", help="Serial, asset tag, model, cart, pupil or class has this.")
@click.option("--not-seen-since", type=Moment(), help="Enrolled, and not heard from since this local time.")
@click.option("--findings", is_flag=True, help="Only those with open findings.")
@click.option("--unsupervised", is_flag=True, help="Only iPads in use that are not supervised.")
@click.option(
    "--lacks-app", metavar="ID", help="Only iPads in use that shall have this app and have it not yet; all: any app."
)
@json_option
def list_devices(
    school: str | None, class_title: str | None, life_: str | None, text: str | None, not_seen_since: datetime | None,
    *, findings: bool, unsupervised: bool, lacks_app: str | None, as_json: bool,
) -> None:  # fmt: skip
    """List tablets."""
    if unsupervised and lacks_app is not None:
        raise click.UsageError("--unsupervised or --lacks-app: one of them")
    within = reported.unsupervised() if unsupervised else None
    if lacks_app is not None:
        within = reported.lacking_apps(None if lacks_app == _ANY else lacks_app)
    with application(writes=False) as config:
        school_id = schools.find_school(school).id if school is not None else None
        class_id = schools.find_class(class_title, school_id=school_id).id if class_title is not None else None
        given = queries.Filter(
            school_id=school_id,
            class_id=class_id,
            life=DeviceLife(life_) if life_ is not None else None,
            text=text,
            not_seen_since=instant(not_seen_since, config.timezone),
            has_findings=True if findings else None,
            within=within,
        )
        rows = [_plain(device) for device in queries.devices(given, by=Principal.command_line())]
    show_table(rows if as_json else map(marked, rows), _COLUMNS, as_json=as_json)


@group.command()
@click.argument("serial")
@click.option("--with-names", is_flag=True, help="Show the pupil's name too.")
@json_option
def show(serial: str, *, with_names: bool, as_json: bool) -> None:
    """Show one tablet, by serial or asset tag."""
    with application(writes=False):
        device = queries.find_device(serial, by=Principal.command_line())
        state = device.state
        row = _plain(device) | {
            "match_code": codes.match_code(state.key_thumbprint) if state.key_thumbprint is not None else None,
            "pupil": device.person.username if device.person is not None else None,
            "supervised": _says(device, "supervised"),
            "closed": _says(device, "lost_mode"),
            "battery_percent": state.battery_percent,
            "storage_free_bytes": state.storage_free_bytes,
            "clock_offset_s": state.clock_offset_s,
            "desired": state.desired_digest,
            "applied": state.applied_digest,
            "config_version": state.config_version,
            "failures": state.failures or [],
            "facts": state.facts or {},
            "enrolments": [
                {"channel": e.channel, "enrolled_at": e.enrolled_at, "ended_at": e.ended_at, "reason": e.end_reason}
                for e in queries.enrolments(device)
            ],
        }
        if with_names and device.person is not None:
            row["pupil_name"] = f"{device.person.given_name} {device.person.family_name}"
    if as_json:
        show_json(row)
        return
    for name, value in marked(row).items():
        if not isinstance(value, dict | list) and not name.endswith("_ended"):
            click.echo(f"{name:20} {text(value) or '-'}")
    coming = [{"app": app, **told} for app, told in sorted((row["facts"].get("app_states") or {}).items())]
    if coming:
        click.echo()
        show_table(coming, ["app", "state", "reason"], as_json=False)
        click.echo()
    show_table(row["enrolments"], ["channel", "enrolled_at", "ended_at", "reason"], as_json=False)


@group.command()
@click.argument("serial")
@click.option("--school", required=True, help="The school it goes to.")
@click.option("--class", "class_title", help="A class of the school.")
@click.option("--pupil", help="The user name of the pupil whose own it becomes.")
@click.option("--cart", help="A cart of the school.")
def move(serial: str, school: str, class_title: str | None, pupil: str | None, cart: str | None) -> None:
    """Move a tablet to a school, and there to a class, a pupil or a cart."""
    if sum(one is not None for one in (class_title, pupil, cart)) > 1:
        raise click.UsageError("--class, --pupil or --cart: one of them")
    by = Principal.command_line()
    with application(writes=True):
        to = schools.find_school(school)
        klass = schools.find_class(class_title, school_id=to.id) if class_title is not None else None
        person = schools.find_pupil(pupil) if pupil is not None else None
        device = queries.find_device(serial, by=by)
        life.move(device, school=to, school_class=klass, person=person, cart=cart, by=by, now=clock.now())
        moved = device.serial
    click.echo(f"{moved} is moved")


def _step_command(name: str, words: str, done: str) -> None:
    @group.command(name, help=words)
    @click.argument("serial")
    def step(serial: str) -> None:
        by = Principal.command_line()
        with application(writes=True):
            device = queries.find_device(serial, by=by)
            life.step(device, name, by=by, now=clock.now())
            stepped = device.serial
        click.echo(f"{stepped} is {done}")


_step_command(
    "approve",
    "Let a tablet in that waits for approval: it gets what it shall have. Compare the match code first.",
    "approved: it gets what it shall have",
)
_step_command(
    "decline",
    "Turn a tablet away that waits for approval: its key is worth nothing.",
    "declined, and out of use; `devices reinstate` lets it ask again",
)


@group.command()
@click.argument("serial")
@click.option("--message", help="What the screen of an iPad then shows: no pupil's name, whoever finds it reads it.")
@click.option("--phone", help="Whom to call, such as +47 22 33 44 55: shown there, too.")
def lost(serial: str, message: str | None, phone: str | None) -> None:
    """Report a tablet lost. An iPad is locked; others' keys are worth nothing. An attempt to enrol it is noted."""
    by = Principal.command_line()
    with application(writes=True):
        device = queries.find_device(serial, by=by)
        life.step(device, "lost", message=message, phone=phone, by=by, now=clock.now())
        stepped, is_open = device.serial, _says(device, "supervised") is False
    click.echo(f"{stepped} is reported lost" + ("; it cannot be closed: it is not supervised" if is_open else ""))


@group.command()
@click.argument("serial")
def found(serial: str) -> None:
    """Note that a lost tablet is back: an iPad that was locked is in use again, others enrol anew."""
    by = Principal.command_line()
    with application(writes=True):
        device = queries.find_device(serial, by=by)
        life.step(device, "found", by=by, now=clock.now())
        click.echo(f"{device.serial} is found: it is {_how_it_comes_back(device)}")


def _how_it_comes_back(device: Device) -> str:
    if device.life is DeviceLife.ENROLLED:
        return "in use again"
    if device.platform is Platform.ANDROID and device.listed_at is not None:
        return "expected, and comes in by itself when it asks next; opening its home screen has it ask"
    return "expected, and enrols with a ticket"


_step_command("retire", "Take a tablet out of use.", "retired")
_step_command(
    "reinstate", "Take a retired tablet into use again: it is expected.",
    "back in use: it is expected, and enrols with a ticket",
)  # fmt: skip


@group.command()
@click.argument("serial")
def revoke(serial: str) -> None:
    """Take a tablet's key back: it needs a ticket to enrol again."""
    by = Principal.command_line()
    with application(writes=True):
        device = queries.find_device(serial, by=by)
        life.revoke_key(device, by=by, now=clock.now())
        revoked = device.serial
    click.echo(f"the key of {revoked} is revoked: the tablet needs a ticket to enrol again")
