"""``fleet lessons absent``, ``release``, ``bring-in``, ``hand-to``: one pupil or some in a lesson."""

from datetime import datetime
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.cli.lessons_show import plain_view, some, summed_up
from fleet.cli.output import application, json_option, show_json
from fleet.lessons import tablets, views
from fleet.lessons.models import Part

_id_argument = click.argument("lesson_id", metavar="ID", type=int)
_names_argument = click.argument("names", metavar="SERIAL|TAG|USERNAME…", nargs=-1, required=True)


def _stand(lesson_id: int, count: int, done: str, now: datetime) -> tuple[dict[str, Any], str]:
    """Return how a lesson stands after something was done with so many tablets, for programs and for people."""
    found = views.view(lesson_id, by=Principal.command_line(), now=now)
    return plain_view(found, now), f"{some(count)} {done} lesson {lesson_id}: {summed_up(found)}"


def _tell(row: dict[str, Any], line: str, *, as_json: bool) -> None:
    if as_json:
        show_json(row)
    else:
        click.echo(line)


def _leaving_command(name: str, part: Part, words: str, done: str) -> click.Command:
    @click.command(name, help=words)
    @_id_argument
    @_names_argument
    @json_option
    def leave(lesson_id: int, names: tuple[str, ...], *, as_json: bool) -> None:
        by, now = Principal.command_line(), clock.now()
        with application(writes=True):
            meant = tablets.named(lesson_id, names, by=by)
            tablets.leave_out(lesson_id, meant, part, by=by, now=now)
            told = _stand(lesson_id, len(meant), done, now)
        _tell(*told, as_json=as_json)

    return leave


@click.command("bring-in")
@_id_argument
@_names_argument
@json_option
def bring_in(lesson_id: int, names: tuple[str, ...], *, as_json: bool) -> None:
    """Bring tablets in, from another lesson too."""
    by, now = Principal.command_line(), clock.now()
    with application(writes=True) as config:
        meant = tablets.named(lesson_id, names, by=by)
        tablets.bring_in(lesson_id, meant, by=by, now=now, timezone=config.timezone)
        told = _stand(lesson_id, len(meant), "brought into", now)
    _tell(*told, as_json=as_json)


@click.command("hand-to")
@_id_argument
@click.argument("other_id", metavar="OTHER_ID", type=int)
@_names_argument
@json_option
def hand_to(lesson_id: int, other_id: int, names: tuple[str, ...], *, as_json: bool) -> None:
    """Hand tablets to another lesson that wants them."""
    by, now = Principal.command_line(), clock.now()
    with application(writes=True) as config:
        meant = tablets.named(lesson_id, names, by=by)
        tablets.hand_to(lesson_id, meant, other_id=other_id, by=by, now=now, timezone=config.timezone)
        told = _stand(other_id, len(meant), "handed to", now)
    _tell(*told, as_json=as_json)


COMMANDS = (
    _leaving_command("absent", Part.ABSENT, "Leave tablets out: their pupils are absent.", "absent from"),
    _leaving_command("release", Part.RELEASED, "Let tablets go for the rest of a lesson.", "released from"),
    bring_in,
    hand_to,
)
