"""``fleet lessons sets``: what can be given in a lesson; and the options with which other commands are told a set."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.assignments import publishing
from fleet.cli.output import ErrorsAsLines, application, json_option, show_json, show_table
from fleet.cli.wording import COMMAND
from fleet.lessons import contents, sets, sharing
from fleet.lessons.models import LessonSet, SetKind
from fleet.schools import queries as schools
from fleet.schools.models import SchoolClass

_COLUMNS = ["id", "title", "kind", "gives", "offered_as", "shared_by"]

class_argument = click.argument("class_title", metavar="CLASS")
school_option = click.option("--school", help="The school, where several have a class of this title.")


def find_class(title: str, school: str | None) -> SchoolClass:
    """Return the class that was named, in a school where one was."""
    return schools.find_class(title, school_id=schools.find_school(school).id if school is not None else None)


def words(told: Sequence[str]) -> list[str]:
    """Return what was told with commas or spaces between, once or several times."""
    return [one for part in told for one in part.replace(",", " ").split()]


@dataclass(frozen=True, slots=True)
class Choice:
    """A set as it was typed: by ``name``, or else what a quick one is made of."""

    name: str | None
    kind: SetKind
    apps: Sequence[str] = ()
    hosts: Sequence[str] = ()
    text: str | None = None
    locked: bool = False

    @property
    def told(self) -> dict[str, Any]:
        """What a quick set is made of, as the domain takes it."""
        return {"apps": self.apps, "hosts": self.hosts, "text": self.text, "locked": self.locked}

    def find(self, school_class: SchoolClass, *, by: Principal, now: datetime) -> LessonSet:
        """Return the set for a class; a quick one is made where there is none."""
        if self.name is not None:
            return sets.find(self.name, school_class=school_class, by=by)
        return sets.quick(self.kind, school_class=school_class, **self.told, by=by, now=now)

    def settings(self, school_class: SchoolClass, *, by: Principal) -> Mapping[str, Any]:
        """Return what it gives, refuse what :meth:`find` would, and make nothing."""
        if self.name is not None:
            return sets.content(sets.find(self.name, school_class=school_class, by=by)).settings
        return contents.quick_settings(self.kind, contents.params(self.kind, **self.told))


def set_options(name_option: str, help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that tell a set to a command, which gets them as ``choice``.

    Args:
        name_option: the option that names one, such as ``--set``.
        help_text: what that one says.
    """
    options = (
        click.option(name_option, "set_name", metavar="NAME", help=help_text),
        click.option("--apps", multiple=True, metavar="ID,…", help="Only these apps, such as no.example.app."),
        click.option("--web", multiple=True, metavar="HOST,…", help="Only these web addresses; also with --exam."),
        click.option(
            "--eyes", is_flag=False, flag_value="", metavar="[TEXT]",
            help="Eyes on me: nothing can be used; the text stands on the lock screen.",
        ),
        click.option("--exam", metavar="APP", help="An exam in this app: no help, no sharing."),
        click.option("--locked", is_flag=True, help="With one app: lock the tablets to it."),
    )  # fmt: skip

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_choice(**told: Any) -> Any:
            given = {name: told.pop(name) for name in ("set_name", "apps", "web", "eyes", "exam", "locked")}
            return command(**told, choice=_chosen(name_option, **given))

        for option in reversed(options):
            with_choice = option(with_choice)
        return with_choice

    return decorate


def _chosen(
    name_option: str, *, set_name: str | None, apps: tuple[str, ...], web: tuple[str, ...], eyes: str | None,
    exam: str | None, locked: bool,
) -> Choice:  # fmt: skip
    ways = [set_name is not None, bool(apps), bool(web) and exam is None, eyes is not None, exam is not None]
    if sum(ways) != 1:
        raise click.UsageError(f"say what to give with one of {name_option}, --apps, --web, --eyes, --exam")
    if locked and not (apps or exam):
        raise click.UsageError("--locked goes with --apps or --exam")
    if set_name is not None:
        return Choice(set_name, SetKind.PROFILE)
    if exam is not None:
        return Choice(None, SetKind.EXAM, apps=[exam], hosts=words(web), locked=locked)
    if eyes is not None:
        return Choice(None, SetKind.EYES, text=eyes)
    if apps:
        return Choice(None, SetKind.APPS, apps=words(apps), locked=locked)
    return Choice(None, SetKind.WEB, hosts=words(web))


@click.group("sets", cls=ErrorsAsLines)
def group() -> None:
    """Look at what can be given in lessons, and share it."""


def named(found: LessonSet) -> str:
    """Return how people call a set; of a quick one without any words its kind."""
    return "eyes on me" if found.title == SetKind.EYES.value else found.title


def gives(found: LessonSet) -> str:
    """Return what a set gives, in a few words."""
    if found.profile is not None:
        return f"profile {found.profile.name}"
    told = found.params
    parts = [", ".join([*told.get("apps", ()), *told.get("hosts", ())]), told.get("text", "")]
    return "; ".join(part for part in (*parts, "locked to it" if told.get("locked") else "") if part) or "nothing"


def _plain(found: LessonSet) -> dict[str, Any]:
    return {
        "id": found.id,
        "title": named(found),
        "kind": found.kind.value,
        "profile": found.profile.name if found.profile is not None else None,
        "params": found.params,
        "shared": found.shared,
        "school_id": found.school_id,
        "subject_code": found.subject_code,
        "grades": found.grades,
    }


@group.command("list")
@class_argument
@school_option
@json_option
def list_sets(class_title: str, school: str | None, *, as_json: bool) -> None:
    """List the sets that can be given to a class, the likeliest first."""
    by = Principal.command_line()
    with application(writes=False):
        found = find_class(class_title, school)
        rows = [
            _plain(one.set) | {"gives": gives(one.set), "offered_as": one.why, "shared_by": _sharer(one.set, found)}
            for one in sets.offered(found, by=by, now=clock.now())
        ]
    show_table(rows, _COLUMNS, as_json=as_json)


def _sharer(found: LessonSet, school_class: SchoolClass) -> str | None:
    if not found.shared:
        return None
    return school_class.school.name if found.school_id is not None else "the municipality"


@group.command()
@click.argument("title")
@set_options("--profile", "This profile's newest published version.")
@click.option("--school", help="With the teachers of this school; with all teachers where it is left out.")
@click.option("--subject", metavar="CODE", help="Suggest it to groups whose GREP code begins so, such as MAT.")
@click.option("--grade", "grades", multiple=True, metavar="GRADE,…", help="Suggest it to these grades, such as 8,9.")
@json_option
def share(
    title: str, school: str | None, subject: str | None, grades: tuple[str, ...], *, choice: Choice, as_json: bool
) -> None:
    """Share a set with teachers, under a title."""
    with application(writes=True):
        at = schools.find_school(school) if school is not None else None
        made = sharing.share(
            school=at, title=title, profile=publishing.find(choice.name) if choice.name is not None else None,
            kind=choice.kind, **choice.told, subject_code=subject, grades=words(grades),
            by=Principal.command_line(), now=clock.now(),
        )  # fmt: skip
        row, told = _plain(made), gives(made)
        whom = f"the teachers of {at.name}" if at is not None else "all teachers"
    if as_json:
        show_json(row)
    else:
        click.echo(f"set {row['id']}: {row['title']} ({told}) is shared with {whom}")


@group.command()
@json_option
def ship(*, as_json: bool) -> None:
    """Share the ready-made lesson profiles that are published with all teachers."""
    with application(writes=True):
        count = sharing.ensure_shipped(by=Principal.command_line(), now=clock.now())
    if as_json:
        show_json({"shared": count})
    elif count:
        click.echo(f"{count} ready-made set(s) are shared with all teachers")
    else:
        click.echo(f"nothing new to share; `{COMMAND} profiles import --catalogue --publish` publishes what there is")


@group.command()
@click.argument("set_id", metavar="ID", type=int)
@json_option
def withdraw(set_id: int, *, as_json: bool) -> None:
    """Offer a set no more; lessons that have it keep it."""
    with application(writes=True):
        row = _plain(sets.withdraw(set_id, by=Principal.command_line(), now=clock.now()))
    if as_json:
        show_json(row)
    else:
        click.echo(f"set {set_id}: {row['title']} is withdrawn")
