"""``fleet doctor``: whether everything the server stands on is sound."""

from collections.abc import Sequence

import click

from fleet.checkup.checks import Check, Grade, fault, has_fault
from fleet.cli.output import EXIT_REFUSED, json_option, make_app, show_json
from fleet.cli.refusals import describe, printable
from fleet.errors import FleetError

_ADVICE = "correct the server's settings; fleet doctor needs the same ones"


@click.command("doctor")
@click.option("--reach", is_flag=True, help="Also speak to the mail server (no mail is sent) and the public address.")
@json_option
def group(*, reach: bool, as_json: bool) -> None:
    """Look at everything the server stands on: what was seen, and what to do.

    The exit code is 1 where something does not work.
    """
    found = _examine(reach=reach)
    if as_json:
        show_json(
            [{"name": one.name, "grade": one.grade.value, "seen": one.seen, "advice": one.advice} for one in found]
        )
    else:
        _write(found)
    if has_fault(found):
        click.get_current_context().exit(EXIT_REFUSED)


def _examine(*, reach: bool) -> Sequence[Check]:
    try:
        app = make_app()
    except FleetError as error:
        return [fault("configuration", describe(error), _ADVICE)]
    except (OSError, ValueError) as error:
        return [fault("configuration", str(error), "see to the files of FLEET_DATA_DIR")]
    checks: Sequence[Check] = app.extensions["fleet_examine"](reach=reach)
    return checks


def _write(found: Sequence[Check]) -> None:
    width = max(len(one.name) for one in found)
    for one in found:
        click.echo(f"{one.grade.value:<8} {one.name:<{width}}  {printable(one.seen)}")
        if one.advice:
            click.echo(f"{'':8} {'':{width}}  -> {printable(one.advice)}")
    counted = {grade: sum(one.grade is grade for one in found) for grade in Grade}
    click.echo(f"{counted[Grade.OK]} ok, {counted[Grade.WARNING]} warnings, {counted[Grade.FAULT]} faults")
