"""``fleet lessons``: starting with the forecast, extending, ending, changing, handing over; pupils in and out."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal, Role
from fleet.db import transaction
from fleet.devices.models import Device
from fleet.lessons import life, sharing, views
from fleet.lessons.models import Part, SetKind
from tests import factories as make
from tests import lessons
from tests.conftest import NOW
from tests.doors.fleet_command import run
from tests.lessons import MINUTE, Room, obeyed, part, seen, stretches

BY = Principal.command_line()
SetClock = Callable[[datetime], None]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Return what sets the clock; it stands at Monday 10:15 in Oslo."""

    def set_to(instant: datetime) -> None:
        monkeypatch.setattr(clock, "now", lambda: instant)

    set_to(NOW)
    return set_to


@pytest.fixture
def room(app: Flask, set_clock: SetClock) -> Room:
    """Make class 8B with three tablets that wait, and a set that the municipality shares."""
    with transaction():
        made = lessons.room()
        sharing.share(school=None, title="Les selv", kind=SetKind.WEB, hosts=["*.nb.no"], by=BY, now=NOW)
        for number, one in enumerate(made.devices, start=1):
            one.serial, one.asset_tag = f"AB{number}", f"LK-{number}"
    return made


def told(app: Flask, *words: str | int) -> Any:
    result = run(app, "lessons", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def pupil_of(device: Device) -> str:
    """Return whose tablet it is, by user name."""
    with transaction():
        assert device.person is not None
        return str(device.person.username)


def started(app: Flask, *words: str | int) -> int:
    """Start a lesson of 8B and return its number."""
    return int(told(app, "start", "8B", "--set", "les selv", "--minutes", 45, *words)["id"])


def test_a_lesson_is_started_with_its_forecast_first(app: Flask, room: Room) -> None:
    shown = run(app, "lessons", "start", "8b", "--school", "prøveskolen", "--set", "Les selv", "--until", "11:00")
    assert shown.exit_code == 0
    (row,) = told(app, "list")
    assert shown.output == (
        f"3 of 3 tablets within 15 s\nlesson {row['id']}: 8B has Les selv until 11:00\n"
        f"`scripts/fleet lessons show {row['id']} --watch` shows it arrive\n"
    )
    assert [stretches(one) for one in room.devices] == 3 * [[(NOW, NOW + 45 * MINUTE)]]


def test_what_was_started_is_told_to_programs(app: Flask, room: Room) -> None:
    row = told(app, "start", "8B", "--set", "Les selv", "--minutes", 30)
    assert row.keys() >= {"id", "class", "set", "starts_at", "ends_at", "meant", "expected"}
    assert (row["class"], row["set"], row["meant"], row["expected"], row["holder"]) == ("8B", "Les selv", 3, 3, None)
    assert (row["starts_at"], row["ends_at"]) == ("2026-09-14T08:15:00+00:00", "2026-09-14T08:45:00+00:00")


def test_the_forecast_says_who_is_not_to_be_expected_and_why(app: Flask, room: Room) -> None:
    pupil, (_first, second, third) = pupil_of(room.devices[0]), room.ids
    with transaction():
        seen([second], at=NOW - timedelta(days=1), now=NOW)
        seen([third], at=NOW, now=NOW, is_at_school=False)
        for days in (0, 3):
            other = make.pupil(room.school)
            make.membership(other, room.of)
            tablet = make.device(room.school, person=other)
            if days:
                seen([tablet.id], at=NOW - timedelta(days=days), now=NOW)
    words = ("lessons", "start", "8B", "--set", "Les selv", "--minutes", "45", "--dry-run")
    line = run(app, *words).output
    assert line.startswith("1 of 5 tablets within 15 s; ")
    assert sorted(line.strip().split("; ")[1:]) == [
        "1 last heard of on 2026-09-11", "1 last heard of yesterday", "1 not heard of yet", "1 outside the school's networks",
    ]  # fmt: skip
    first, *others = run(app, *words, "--absent", pupil).output.strip().split("; ")
    assert (first, "1 absent" in others, len(others)) == ("0 of 5 tablets within 15 s", True, 5)
    everybody = json.loads(run(app, *words, "--everybody", "--json").output)
    assert (everybody["tablets"], everybody["meant"], everybody["not_in"]) == (5, 4, {"elsewhere": 1})
    assert "may take longer" in run(app, *words, "--everybody").output


def test_a_dry_run_starts_nothing_and_refuses_what_the_start_would(app: Flask, room: Room) -> None:
    words = ("lessons", "start", "8B", "--dry-run")
    assert run(app, *words, "--web", "nrk.no").output == "3 of 3 tablets within 15 s\n"  # the end is no matter yet
    assert run(app, *words, "--web", "nrk.no", "--minutes", 45).output == "3 of 3 tablets within 15 s\n"
    assert told(app, "list", "--over") == []
    assert [row["title"] for row in told(app, "sets", "list", "8B")] == ["Les selv"]
    assert run(app, *words, "--set", "Les selv", "--minutes", 900).exit_code == 1
    assert run(app, *words, "--set", "Finnes ikke", "--minutes", 45).exit_code == 3
    assert run(app, *words, "--web", "nrk", "--minutes", 45).exit_code == 1


def test_who_is_absent_is_left_out_and_who_was_not_heard_of_comes_with_everybody(app: Flask, room: Room) -> None:
    absent = pupil_of(room.devices[0])
    lesson = started(app, "--absent", f"{absent},{absent}")
    with transaction():
        assert [part(life.get(lesson, by=BY), one) for one in room.devices] == [Part.ABSENT, Part.IN, Part.IN]
        late = make.device(room.school, person=room.devices[0].person)
    assert told(app, "start", "8B", "--set", "Les selv", "--minutes", 45)["meant"] == 3
    everybody = told(app, "start", "8B", "--set", "Les selv", "--minutes", 45, "--everybody")
    assert (everybody["meant"], everybody["everybody"]) == (4, True)
    assert stretches(late) != []
    unknown = run(app, "lessons", "start", "8B", "--set", "Les selv", "--minutes", 45, "--absent", "Ola Prøve")
    assert (unknown.exit_code, "Ola" in unknown.stderr) == (3, False)


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["--until", "10:00"], "the lesson would end before it begins, at 2026-09-14 10:00: give a later --until, or --minutes"),
        (["--minutes", "900"], "a lesson may last until 2026-09-14 12:15 at most (the school's longest lesson: `scripts/fleet schools longest-lesson SCHOOL`)"),
    ],
)  # fmt: skip
def test_times_that_cannot_be_are_refused_in_local_time(app: Flask, room: Room, words: list[str], refused: str) -> None:
    result = run(app, "lessons", "start", "8B", "--set", "Les selv", *words)
    assert (result.exit_code, result.stderr) == (1, f"fleet: {refused}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--minutes", "45"],
        ["--set", "Les selv"],
        ["--set", "Les selv", "--minutes", "45", "--until", "11:00"],
        ["--set", "Les selv", "--until", "25:00"],
        ["--set", "Les selv", "--web", "nrk.no", "--minutes", "45"],
        ["--apps", "no.a", "--eyes", "hei", "--minutes", "45"],
        ["--web", "nrk.no", "--locked", "--minutes", "45"],
        ["--eyes", "hei", "--exam", "no.a", "--minutes", "45"],
    ],
)
def test_what_is_ambiguous_is_wrong_use(app: Flask, room: Room, words: list[str]) -> None:
    assert run(app, "lessons", "start", "8B", *words).exit_code == 2
    assert told(app, "list", "--over") == []


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--apps", "no.kart,no.bok"], {"apps.allowed": ["no.bok", "no.kart"]}),
        (["--apps", "no.bok", "--locked"], {"apps.allowed": ["no.bok"], "kiosk.app": "no.bok"}),
        (["--web", "nrk.no,https://www.udir.no/prove"], {"web.allowed": ["nrk.no", "www.udir.no"]}),
        (["--eyes"], {"apps.allowed": [], "web.allowed": []}),
        (["--eyes", "Se hit"], {"apps.allowed": [], "web.allowed": [], "lock_screen.message": "Se hit"}),
        (["--exam", "no.prove", "--web", "udir.no"], {"apps.allowed": ["no.prove"], "web.allowed": ["udir.no"]}),
    ],
)
def test_a_quick_set_gives_what_its_words_say(
    app: Flask, room: Room, words: list[str], settings: dict[str, Any]
) -> None:
    row = told(app, "start", "8B", *words, "--minutes", 45)
    with transaction():
        given = life.get(row["id"], by=BY).given[-1].lease.settings
    assert given.items() >= settings.items()


def test_a_class_without_tablets_has_no_lesson(app: Flask, room: Room) -> None:
    with transaction():
        make.school_class(room.school, "9C")
    result = run(app, "lessons", "start", "9C", "--set", "Les selv", "--minutes", 45)
    assert (result.exit_code, result.stdout) == (1, "no tablet is in use in this class\n")
    assert result.stderr == "fleet: no tablet is enrolled for this class: nobody would have the lesson\n"


def test_a_lesson_is_extended_shortened_and_ended(app: Flask, room: Room, set_clock: SetClock) -> None:
    lesson = started(app)
    assert run(app, "lessons", "extend", lesson).output == f"lesson {lesson} of 8B now ends at 11:05\n"
    assert run(app, "lessons", "extend", lesson, "--minutes", 10).output.endswith("now ends at 11:15\n")
    assert told(app, "extend", lesson, "--until", "10.45")["ends_at"] == "2026-09-14T08:45:00+00:00"
    assert stretches(room.devices[0]) == [(NOW, NOW + 30 * MINUTE)]
    assert run(app, "lessons", "extend", lesson, "--until", "10:10").exit_code == 1
    assert run(app, "lessons", "extend", lesson, "--until", "11:00", "--minutes", "5").exit_code == 2
    set_clock(NOW + 20 * MINUTE)
    assert run(app, "lessons", "end", lesson).output.startswith(f"lesson {lesson} of 8B is over; ")
    assert stretches(room.devices[0]) == [(NOW, NOW + 20 * MINUTE)]
    again = run(app, "lessons", "end", lesson)
    assert (again.exit_code, again.stderr) == (1, f"fleet: lesson {lesson} is over since 2026-09-14 10:35\n")
    assert run(app, "lessons", "end", 0).exit_code == 3


def test_another_set_is_given_for_the_rest(app: Flask, room: Room) -> None:
    lesson = started(app)
    changed = run(app, "lessons", "change", lesson, "--eyes")
    assert changed.output == f"lesson {lesson} of 8B has eyes on me now\n"
    assert told(app, "list")[0]["set"] == "eyes on me"
    assert run(app, "lessons", "change", lesson).exit_code == 2


def test_a_lesson_is_handed_to_a_colleague_of_the_school(app: Flask, room: Room) -> None:
    lesson = started(app)
    with transaction():
        make.account("kollega", (Role.TEACHER, room.school))
        make.account("utenfor", (Role.TEACHER, make.school("Nabo skole")))
    assert told(app, "hand-over", lesson, "kollega")["holder"] == "kollega"
    foreign = run(app, "lessons", "hand-over", lesson, "utenfor")
    assert foreign.exit_code == 1
    assert foreign.stderr.startswith("fleet: utenfor may not sign in or has no role at this school")
    assert run(app, "lessons", "hand-over", lesson, "ingen").exit_code == 3


def test_lessons_are_listed_by_class_and_school_and_past_ones_on_demand(app: Flask, room: Room) -> None:
    with transaction():
        other = lessons.room("9A", school=make.school("Nabo skole"))
        obeyed(other.ids[:1], now=NOW)
    first = started(app)
    second = told(app, "start", "9A", "--set", "Les selv", "--minutes", 45)["id"]
    with transaction():
        obeyed(other.ids[:1], now=NOW)
    assert {row["id"] for row in told(app, "list")} == {first, second}
    assert [row["id"] for row in told(app, "list", "--school", "Nabo skole")] == [second]
    assert [row["id"] for row in told(app, "list", "--class", "8B")] == [first]
    assert "2026-09-14 10:15-11:00  -       1 of 3" in run(app, "lessons", "list").output
    run(app, "lessons", "end", second)
    assert [row["id"] for row in told(app, "list")] == [first]
    assert [row["stage"] for row in told(app, "list", "--over")] == ["running", "over"]


def parts(lesson: int, room: Room) -> list[Part]:
    with transaction():
        return [part(life.get(lesson, by=BY), one) for one in room.devices]


def test_pupils_are_left_out_let_go_and_brought_in_by_any_of_their_names(app: Flask, room: Room) -> None:
    pupil, lesson = pupil_of(room.devices[2]), started(app)
    left = run(app, "lessons", "absent", lesson, "ab1", "LK-2")
    assert (
        left.output == f"2 tablets absent from lesson {lesson}: 0 of 1 tablet have it; 1 waiting; not in it: 2 absent\n"
    )
    run(app, "lessons", "release", lesson, pupil)
    assert parts(lesson, room) == [Part.ABSENT, Part.ABSENT, Part.RELEASED]
    assert told(app, "bring-in", lesson, "AB1", pupil)["counts"] == {"waiting": 2, "absent": 1}
    assert parts(lesson, room) == [Part.IN, Part.ABSENT, Part.IN]
    assert run(app, "lessons", "absent", lesson).exit_code == 2


def test_a_name_that_means_no_tablet_of_the_lesson_changes_nothing_and_is_not_repeated(app: Flask, room: Room) -> None:
    lesson = started(app)
    unknown = run(app, "lessons", "absent", lesson, "AB1", "Kari Prøve")
    assert unknown.exit_code == 3
    assert unknown.stderr.startswith(f"fleet: name 2 means no tablet of lesson {lesson}: ")
    assert "Kari" not in unknown.stderr
    with transaction():
        room.devices[1].asset_tag = "LK-1"
    several = run(app, "lessons", "release", lesson, "lk-1")
    assert "name 1 is an asset tag of several tablets" in several.stderr
    assert parts(lesson, room) == [Part.IN, Part.IN, Part.IN]


def test_a_pupil_goes_from_one_lesson_to_another(app: Flask, room: Room) -> None:
    with transaction():
        group = make.school_class(room.school, "MAT 8B")
        for one in room.devices[:2]:
            assert one.person is not None
            make.membership(one.person, group)
    first = started(app)
    second = told(app, "start", "MAT 8B", "--web", "nrk.no", "--minutes", 30)["id"]
    assert parts(first, room) == [Part.TAKEN, Part.TAKEN, Part.IN]
    back = run(app, "lessons", "hand-to", second, first, "AB1")
    assert back.output == f"1 tablet handed to lesson {first}: 0 of 2 tablets have it; 2 waiting; not in it: 1 taken\n"
    assert parts(first, room) == [Part.IN, Part.TAKEN, Part.IN]
    refused = run(app, "lessons", "hand-to", second, first, "AB1")
    assert refused.stderr.startswith(f"fleet: not every one of these tablets is in lesson {second}: ")
    assert refused.exit_code == 3
    with transaction():
        assert views.view(second, by=BY, now=NOW).meant == 1
