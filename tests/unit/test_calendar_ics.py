"""Reading a school calendar in iCalendar's form: what it holds, what it seems to mean, and files that are none."""

import random
from datetime import date
from typing import Final

import pytest

from fleet.errors import InvalidFileError
from fleet.schools import calendar_ics
from fleet.schools.calendar_ics import Contents, Event
from fleet.schools.calendar_words import Meaning, judge

FIRST: Final = date(2026, 10, 5)


def calendar(*entries: str) -> str:
    inside = "".join(f"BEGIN:VEVENT\n{entry}\nEND:VEVENT\n" for entry in entries)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{inside}END:VCALENDAR\n"


def read(text: str) -> Contents:
    return calendar_ics.read("rute.ics", text.encode())


def one(entry: str) -> Event:
    found = read(calendar(entry))
    assert found.left_out == []
    return found.events[0]


def faults(text: str | bytes) -> list[tuple[str, int | None]]:
    with pytest.raises(InvalidFileError) as refused:
        calendar_ics.read("rute.ics", text if isinstance(text, bytes) else text.encode())
    return [(problem.code, problem.line) for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("title", "meaning"),
    [
        *((title, Meaning.DAY_OFF) for title in (
            "Høstferie", "Haustferie uke 41", "Planleggingsdag", "Planleggingsdager for lærerne", "Elevfri", "Fri",
            "Fridag (inneklemt)", "1. mai", "17. mai", "Kristi himmelfartsdag", "2. pinsedag", "Juleferien",
            "Vinterferie - skolen stengt", "Planleggingsdag skole og SFO", "Planning day", "SKULEFRI", "Sommarferie",
        )),
        *((title, Meaning.NEWS) for title in (
            "Første skoledag", "Siste skoledag før jul", "Første skoledag etter høstferien", "Fyrste skuledag",
            "Skolestart", "Juleferien starter", "SFO stengt", "SFO: planleggingsdag", "Foreldremøte",
            "Planleggingsdag barnehagene", "Nasjonal prøve", "Last day of school",
        )),
        ("Skoledag (lørdag)", Meaning.SCHOOL_DAY),
        ("Innarbeidingsdag", Meaning.SCHOOL_DAY),
    ],
)  # fmt: skip
def test_words_that_are_known_are_judged(title: str, meaning: Meaning) -> None:
    assert judge(title) == judge(title.upper())
    assert (judge(title).meaning, judge(title).is_known) == (meaning, True)


@pytest.mark.parametrize("title", ["Aktivitetsdag", "Ikke fri", "Fri etter kl. 12", "Frivillig dugnad", "Temauke"])
def test_words_that_are_not_known_are_news_and_say_so(title: str) -> None:
    assert (judge(title).meaning, judge(title).is_known) == (Meaning.NEWS, False)


@pytest.mark.parametrize(
    ("times", "last"),
    [
        ("DTSTART;VALUE=DATE:20261005\nDTEND;VALUE=DATE:20261010", 9),
        ("DTSTART;VALUE=DATE:20261005", 5),
        ("DTSTART;VALUE=DATE:20261005\nDTEND;VALUE=DATE:20261005", 5),
        ("DTSTART;VALUE=DATE:20261005\nDURATION:P3D", 7),
        ("DTSTART:20261005T000000\nDTEND:20261007T000000", 6),
        ("DTSTART;TZID=Europe/Oslo:20261005T000000\nDTEND;TZID=Europe/Oslo:20261007T000000", 6),
    ],
)
def test_the_end_of_an_entry_is_not_part_of_it(times: str, last: int) -> None:
    assert one(f"{times}\nSUMMARY:Fri").spans == ((FIRST, date(2026, 10, last)),)


def test_lines_are_unfolded_and_titles_are_plain() -> None:
    found = one(f"DTSTART;VALUE=DATE:20261005\nSUMMARY:Høst\n ferie\\, uke 41\\n{'x' * 200}")
    assert found.title.startswith("Høstferie, uke 41 xxx")
    assert len(found.title) == 120
    assert found.line == 3


def test_alarms_and_what_else_stands_in_a_file_are_not_read() -> None:
    alarm = "BEGIN:VALARM\nDTSTART:nonsense\nSUMMARY:Pling\nEND:VALARM"
    text = calendar(f"DTSTART;VALUE=DATE:20261005\n{alarm}\nX-ALT-DESC;FMTTYPE=text/html:{'x' * 9000}\nSUMMARY:Fri")
    zone = "BEGIN:VTIMEZONE\nTZID:Europe/Oslo\nBEGIN:STANDARD\nDTSTART:bad\nEND:STANDARD\nEND:VTIMEZONE\n"
    found = read(text.replace("VERSION:2.0\n", f"VERSION:2.0\n{zone}")).events
    assert [event.title for event in found] == ["Fri"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("DTSTART:20261005T180000\nDTEND:20261005T200000", "time"),
        ("DTSTART:20261004T220000Z\nDTEND:20261005T220000Z", "time"),
        ("DTSTART;VALUE=DATE:20261005\nSTATUS:CANCELLED", "cancelled"),
        ("DTSTART;VALUE=DATE:20261005\nRRULE:FREQ=YEARLY", "repeats"),
        ("DTSTART;VALUE=DATE:20261005\nRRULE:FREQ=DAILY;COUNT=1000000", "repeats"),
        ("DTSTART;VALUE=DATE:20261005\nRRULE:FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30;COUNT=2", "repeats"),
        ("DTSTART;VALUE=DATE:20261005\nRRULE:FREQ=DAILY;BYDAY=MO;COUNT=2", "repeats"),
        ("DTSTART;VALUE=DATE:20261005\nRRULE:FREQ=YEARLY;INTERVAL=9999999;COUNT=3", "repeats"),
        ("DTSTART;VALUE=DATE:20240229\nRRULE:FREQ=YEARLY;COUNT=3", "repeats"),
        ("DTSTART;VALUE=DATE:20261005\nRRULE:FREQ=YEARLY;COUNT=0", "repeats"),
        ("DTSTART;VALUE=DATE:20261005\nRDATE;VALUE=DATE:20261006", "repeats"),
    ],
)
def test_what_is_nothing_for_a_school_calendar_is_left_out_and_told(more: str, reason: str) -> None:
    found = read(calendar(f"{more}\nSUMMARY:Noe"))
    assert found.events == []
    assert [(left.line, left.title, left.reason) for left in found.left_out] == [(3, "Noe", reason)]


@pytest.mark.parametrize(
    ("rule", "firsts"),
    [
        ("FREQ=WEEKLY;COUNT=2;BYDAY=MO;WKST=MO", [FIRST, date(2026, 10, 12)]),
        ("FREQ=WEEKLY;INTERVAL=2;UNTIL=20261019", [FIRST, date(2026, 10, 19)]),
        ("FREQ=YEARLY;COUNT=2;BYMONTH=10;BYMONTHDAY=5", [FIRST, date(2027, 10, 5)]),
        ("FREQ=DAILY;UNTIL=20261006T000000Z", [FIRST, date(2026, 10, 6)]),
    ],
)
def test_an_entry_that_repeats_plainly_and_ends_is_each_of_its_times(rule: str, firsts: list[date]) -> None:
    assert [span[0] for span in one(f"DTSTART;VALUE=DATE:20261005\nRRULE:{rule}\nSUMMARY:Fri").spans] == firsts


def test_an_entry_that_was_moved_once_is_left_out_whole() -> None:
    moved = "UID:1\nRECURRENCE-ID;VALUE=DATE:20261012\nDTSTART;VALUE=DATE:20261013\nSUMMARY:Fri"
    found = read(calendar("UID:1\nDTSTART;VALUE=DATE:20261005\nRRULE:FREQ=WEEKLY;COUNT=2\nSUMMARY:Fri", moved))
    assert [left.reason for left in found.left_out] == ["repeats", "repeats"]


@pytest.mark.parametrize(
    ("entry", "code", "line"),
    [
        ("DTSTART;VALUE=DATE:2026105\nSUMMARY:Fri", "bad-date", 4),
        ("SUMMARY:Fri\nDTSTART;VALUE=DATE:20260230", "bad-date", 5),
        ("SUMMARY:Fri", "bad-date", 3),
        ("DTSTART;VALUE=DATE:20261005\nDTEND;VALUE=DATE:oktober\nSUMMARY:Fri", "bad-date", 5),
        ("DTSTART;VALUE=DATE:20261005\nDTEND;VALUE=DATE:20261001\nSUMMARY:Fri", "bad-range", 5),
        ("DTSTART;VALUE=DATE:20261005\nDTEND;VALUE=DATE:20280101\nSUMMARY:Fri", "bad-range", 5),
        ("DTSTART;VALUE=DATE:20261005\nDURATION:P999D\nSUMMARY:Fri", "bad-range", 5),
        ("DTSTART;VALUE=DATE:20261005\nDURATION:P99999999999D\nSUMMARY:Fri", "bad-event", 5),
        ("DTSTART;VALUE=DATE:02021005\nSUMMARY:Fri", "far-date", 4),
        ("DTSTART;VALUE=DATE:20261005\nDTSTART;VALUE=DATE:20261006\nSUMMARY:Fri", "duplicate-property", 5),
        ("DTSTART;VALUE=DATE:20261005\nSUMMARY: ", "bad-title", 5),
        ("DTSTART;VALUE=DATE:20261005", "bad-title", 3),
        ("DTSTART;VALUE=DATE:20261005\nSUMMARY:" + "x" * 5000, "too-long", 5),
    ],
)
def test_a_fault_is_told_with_its_line(entry: str, code: str, line: int) -> None:
    assert (code, line) in faults(calendar(entry))


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("<html>Logg inn</html>", "not-icalendar", 1),
        ("", "not-icalendar", 1),
        (b"BEGIN:VCALENDAR\nSUMMARY:H\xf8stferie\nEND:VCALENDAR\n", "not-utf8", 2),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR\n", "no-events", None),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Fri\n", "bad-structure", None),
        ("BEGIN:VCALENDAR\nEND:VEVENT\n", "bad-structure", 2),
        ("BEGIN:VCALENDAR\n" * 5, "too-many-events", 5),
        ("BEGIN:VCALENDAR\n" + "\n" * 50_001, "too-many-lines", 50_001),
        (calendar(*["DTSTART;VALUE=DATE:20261005\nSUMMARY:Fri"] * 201), "too-many-events", 803),
    ],
)
def test_a_file_that_is_none_or_too_large_is_refused(text: str | bytes, code: str, line: int | None) -> None:
    assert faults(text) == [(code, line)]


def test_whatever_bytes_a_file_has_it_is_read_or_refused() -> None:
    chance = random.Random(7)  # noqa: S311 (not for secrets)
    whole = calendar(
        "UID:1\nDTSTART;TZID=Europe/Oslo:20261005T000000\nDTEND;VALUE=DATE:20261010\nSUMMARY;LANGUAGE=nb:Høstferie",
        "DTSTART;VALUE=DATE:20261116\nDURATION:P1D\nRRULE:FREQ=WEEKLY;COUNT=2;BYDAY=MO\nSUMMARY:Planleggingsdag",
    ).encode()
    parts = [
        b":",
        b";",
        b"=",
        b'"',
        b"\\",
        b"\n ",
        b"VALUE=PERIOD",
        b"TZID=../../etc",
        b"\xff",
        b"99999999",
        b"-",
        b"\0",
        b",",
    ]
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(content))
            content[place : place + chance.randint(0, 6)] = chance.choice(parts)
        try:
            found = calendar_ics.read("rute.ics", bytes(content))
        except InvalidFileError:
            continue
        assert all(event.title and event.spans for event in found.events)


@pytest.mark.parametrize(
    "lines",
    [
        "DTSTART;VALUE=DATE:99991231\nDURATION:P1D",
        "DTSTART;VALUE=DATE:99991231\nDURATION:P100D",
        "DTSTART;TZID=Europe:20261005T000000",  # a folder beside the files of zones
        f"DTSTART;TZID={'X' * 3_000}:20261005T000000",
    ],
)
def test_a_date_at_the_end_of_time_and_a_zone_that_is_none_are_faults(lines: str) -> None:
    assert faults(calendar(f"SUMMARY:Ferie\n{lines}"))[0][0] in {"far-date", "bad-event"}


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;UNTIL=120000", "FREQ=DAILY;UNTIL=P1D", "FREQ=DAILY;UNTIL=20261006T000000Z/P1D",
        "FREQ=YEARLY;INTERVAL=7973;COUNT=2",
    ],
)  # fmt: skip
def test_a_rule_that_ends_at_no_date_is_left_out(rule: str) -> None:
    entry = f"SUMMARY:Ferie\nDTSTART;VALUE=DATE:20261201\nDTEND;VALUE=DATE:20270115\nRRULE:{rule}"
    assert [one.reason for one in read(calendar(entry)).left_out] == ["repeats"]
