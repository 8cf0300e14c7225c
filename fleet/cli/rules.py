"""``fleet rules``: what is worth a look about a tablet; try a draft before it counts."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table, text
from fleet.cli.refusals import printable
from fleet.compliance import ruling, trying
from fleet.compliance.fields import FIELDS
from fleet.compliance.functions import SIGNATURES
from fleet.compliance.models import Severity
from fleet.compliance.rules import Rule
from fleet.compliance.ruling import Draft
from fleet.devices import queries as devices
from fleet.devices.models import Platform
from fleet.schools import queries as schools

_LISTED = ["code", "on", "severity", "grace_min", "condition"]


@click.group(cls=ErrorsAsLines)
def group() -> None:
    """Say what is worth a look about a tablet. `rules words` lists what conditions are made of."""


def _plain(rule: Rule) -> dict[str, Any]:
    return {
        "code": str(rule.code),
        "title": rule.title,
        "shipped": rule.is_shipped,
        "on": rule.is_on,
        "version": rule.version,
        "severity": rule.severity.value,
        "grace_min": rule.grace_min,
        "condition": rule.condition,
        "stays": rule.stays,
        "since": rule.since,
        "shows": [name if name == value else f"{name}: {value}" for name, value in rule.shows],
        "schools": sorted(rule.school_ids) if rule.school_ids is not None else None,
        "platforms": sorted(one.value for one in rule.platforms) if rule.platforms is not None else None,
        "changed_at": rule.changed_at,
        "changed_by": rule.changed_by,
        "failed_at": rule.failed_at,
    }


@group.command("list")
@json_option
def list_rules(*, as_json: bool) -> None:
    """List the rules: those that come with the server, then your own."""
    with application(writes=False):
        rows = [_plain(one) for one in ruling.rules(by=Principal.command_line())]
    show_table(rows, _LISTED, as_json=as_json)


@group.command()
@click.argument("code")
@json_option
def show(code: str, *, as_json: bool) -> None:
    """Show all there is to know of a rule."""
    with application(writes=False):
        shown = _plain(ruling.rule(code, by=Principal.command_line()))
    _show(shown, as_json=as_json)


def _show(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(shown)
        return
    for name, value in shown.items():
        click.echo(f"{name.replace('_', ' '):12}  {text(value) or '-'}")


@group.command()
@json_option
def words(*, as_json: bool) -> None:
    """List the fields and functions that conditions may use."""
    fields = [
        {"field": one.path, "type": one.type, "example": one.example, "told_by": list(one.told_by)} for one in FIELDS
    ]
    if as_json:
        show_json({"fields": fields, "functions": list(SIGNATURES.values())})
        return
    show_table(fields, ["field", "type", "example", "told_by"], as_json=False)
    click.echo()
    for one in SIGNATURES.values():
        click.echo(one)


_OPTIONS: Sequence[Callable[[Any], Any]] = (
    click.option("--title", help="What people call it; rules that come with the server have their name."),
    click.option("--condition", help="What is worth a look, in JMESPath."),
    click.option("--stays", help="While what an open finding stays; the condition where left out."),
    click.option("--shows", multiple=True, help="An expression whose value findings keep; may come several times."),
    click.option("--grace", "grace_min", type=int, help="Minutes until a finding opens."),
    click.option("--severity", type=click.Choice([one.value for one in Severity]), help="How much it matters."),
    click.option("--school", "school", multiple=True, help="Only this school; may come several times."),
    click.option("--all-schools", is_flag=True, help="All schools, where the rule was for some."),
    click.option(
        "--platform", multiple=True, type=click.Choice([one.value for one in Platform]), help="Only these tablets."
    ),
    click.option("--all-platforms", is_flag=True, help="All tablets, where the rule was for some."),
)


def _draft_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a rule shall be."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _draft(told: dict[str, Any], before: Rule | None) -> Draft:
    """Return what was said, and of a rule that is there what was not said as it is."""
    base = before or Rule("", "", is_shipped=False)
    school_ids = base.school_ids if not told["all_schools"] else None
    platforms = base.platforms if not told["all_platforms"] else None
    if told["school"]:
        school_ids = frozenset(schools.find_school(name).id for name in told["school"])
    if told["platform"]:
        platforms = frozenset(Platform(one) for one in told["platform"])
    return Draft(
        before.code if before is not None else None,
        _or(told["title"], base.title),
        _or(told["condition"], base.condition),
        # Whoever says another condition and not what stays, means: while the condition holds.
        _or(told["stays"], base.stays if told["condition"] is None else None),
        told["shows"] or tuple(value for _name, value in base.shows),
        _or(told["grace_min"], base.grace_min),
        Severity(told["severity"]) if told["severity"] is not None else base.severity,
        school_ids,
        platforms,
    )


def _or(told: Any, otherwise: Any) -> Any:
    return told if told is not None else otherwise


@group.command()
@_draft_options
@json_option
def add(*, as_json: bool, **told: Any) -> None:
    """Make a rule of your own. Try it first: `rules try`."""
    with application(writes=True):
        made = ruling.save(_draft(told, None), by=Principal.command_line(), now=clock.now())
    _saved(made, "is made", as_json=as_json)


@group.command()
@click.argument("code")
@_draft_options
@json_option
def change(code: str, *, as_json: bool, **told: Any) -> None:
    """Change a rule; what is not said stays as it is."""
    by = Principal.command_line()
    with application(writes=True):
        before = ruling.rule(code, by=by)
        saved = ruling.save(_draft(told, before), by=by, now=clock.now(), version=before.version)
    _saved(saved, "is changed", as_json=as_json)


def _saved(rule: Rule, what: str, *, as_json: bool) -> None:
    if as_json:
        show_json(_plain(rule))
    else:
        click.echo(f"{rule.code} {what}: its tablets are reviewed by the job {ruling.DUE_REVIEWS}")


@group.command()
@click.argument("code")
@click.option("--on/--off", "is_on", required=True, help="Whether it counts.")
@json_option
def switch(code: str, *, is_on: bool, as_json: bool) -> None:
    """Switch a rule on or off; off, its findings close by themselves."""
    with application(writes=True):
        saved = ruling.switch(code, is_on=is_on, by=Principal.command_line(), now=clock.now())
    _saved(saved, "is on" if is_on else "is off", as_json=as_json)


@group.command()
@click.argument("code")
@json_option
def reset(code: str, *, as_json: bool) -> None:
    """Have a rule as it came with the server."""
    with application(writes=True):
        saved = ruling.reset(code, by=Principal.command_line(), now=clock.now())
    _saved(saved, "is as it came", as_json=as_json)


@group.command()
@click.argument("code")
def remove(code: str) -> None:
    """End a rule of your own; its findings close by themselves."""
    with application(writes=True):
        ruling.remove(code, by=Principal.command_line(), now=clock.now())
    click.echo(f"{code} is removed: its findings close by the job {ruling.DUE_REVIEWS}")


@group.command("try")
@click.argument("code", required=False)
@click.option("--device", "serial", help="Only this tablet, and what its condition sees and gives.")
@_draft_options
@json_option
def try_draft(code: str | None, serial: str | None, *, as_json: bool, **told: Any) -> None:
    """Say what a rule would do, to the fleet or one tablet; nothing is changed.

    With CODE that rule as it is, or as the options would change it; without, a new one.
    """
    by, now = Principal.command_line(), clock.now()
    with application(writes=False):
        before = ruling.rule(code, by=by) if code is not None else None
        draft = _draft(told, before)
        if serial is not None:
            device = devices.find_device(serial, by=by)
            tried = trying.on_tablet(draft, device.id, by=by, now=now)
        else:
            trial = trying.over_fleet(draft, by=by, now=now)
    if serial is not None:
        _show_tablet(tried, as_json=as_json)
    else:
        _show_trial(trial, as_json=as_json)


def _show_tablet(tried: trying.TabletTrial, *, as_json: bool) -> None:
    names = ("found", "waits_until", "value", "has_failed", "is_for", "document")
    told = {name: getattr(tried, name) for name in names}
    if as_json:
        show_json(told)
        return
    whole = tried.found == ("",)
    told["found"] = "yes" if whole else list(tried.found) or "no"
    document = told.pop("document")
    _show(told, as_json=False)
    for name, value in document.items():
        click.echo(f"{name:12}  {printable(str(value))}")


def _show_trial(trial: trying.Trial, *, as_json: bool) -> None:
    names = ("opens", "closes", "stays", "waits", "tablets", "failed", "is_whole")
    numbers = {name: getattr(trial, name) for name in names}
    examples = [
        {"serial": one.serial, "asset_tag": one.asset_tag, "school": one.school, "subject": one.subject or None,
         "detail": dict(one.detail)}
        for one in trial.examples
    ]  # fmt: skip
    if as_json:
        by_school = [{"school_id": one, "opens": count} for one, count in trial.by_school.items()]
        show_json({**numbers, "by_school": by_school, "examples": examples})
        return
    click.echo(
        f"would open {trial.opens} and close {trial.closes} of {trial.opens + trial.stays + trial.closes} findings; "
        f"{trial.waits} wait for their grace; {trial.tablets} tablets looked at"
    )
    if trial.failed or not trial.is_whole:
        click.echo(f"at {trial.failed} tablets it took too long; not all were looked at" if not trial.is_whole else
                   f"at {trial.failed} tablets it took too long")  # fmt: skip
    show_table(examples, ["serial", "asset_tag", "school", "subject", "detail"], as_json=False)
