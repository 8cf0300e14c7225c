"""A school calendar in iCalendar's form (``.ics``), read without trusting it; no database.

Only entries of whole days are taken. Invariants: lines, entries, dates and what a line holds are bounded before the
library sees any of it; of an entry it sees only what is needed; every fault is told with its line. What is well-formed
and yet nothing for a school calendar (a parents' evening at 18:00, a birthday that returns for ever, a cancelled entry)
is no fault: it is left out, and told so.

Source: RFC 5545, sections 3.1 (lines), 3.3.10 (RRULE), 3.6.1 (VEVENT: the end is not part of it; a date without an end
is one day), 3.8.1.11 (STATUS).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from icalendar import Event as Entry

from fleet.errors import InvalidFileError, Problem
from fleet.schools.calendar_editing import FIRST_YEAR, LAST_YEAR, MAX_TITLE, is_plausible
from fleet.schools.calendar_words import Judgement, judge
from fleet.schools.roster.package import Problems

MAX_EVENTS = 200
MAX_REPEATS = 60
MAX_RANGE_DAYS = 120  # the summer holidays twice over
_MAX_LINES = 50_000
_MAX_ENTRIES = 5_000  # with those that are left out
_MAX_CHARACTERS = 4_000  # of a line that is read
_READ = frozenset(
    {"DTSTART", "DTEND", "DURATION", "SUMMARY", "STATUS", "UID", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"}
)
_NAME = re.compile(r"[A-Za-z0-9-]+")
_BEGINNING = "BEGIN:VCALENDAR"
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_STEPS = {"DAILY": timedelta(days=1), "WEEKLY": timedelta(weeks=1)}
_RULED = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"})
_DATES = "a date such as 20261005"

Span = tuple[date, date]


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of whole days.

    Args:
        line: where it begins in the file; what it is called by.
        title: its words.
        spans: first and last date, both included, of each time.
        judgement: what it seems to mean.
    """

    line: int
    title: str
    spans: tuple[Span, ...]
    judgement: Judgement

    def days(self) -> Iterator[date]:
        """Return every date it names."""
        for first, last in self.spans:
            for number in range((last - first).days + 1):
                yield first + timedelta(days=number)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry that is nothing for a school calendar. ``reason``: ``time``, ``repeats`` or ``cancelled``."""

    line: int
    title: str
    reason: str


@dataclass(slots=True)
class Contents:
    """What a file holds."""

    events: list[Event] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


@dataclass(slots=True)
class _Raw:
    """An entry's lines as they stand, with where each begins."""

    line: int
    texts: list[str] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)


def is_icalendar(name: str, content: bytes) -> bool:
    """Whether a file is meant as iCalendar: by its beginning, or by its name."""
    beginning = content.lstrip(b"\xef\xbb\xbf \t\r\n")[: len(_BEGINNING)]
    return beginning.upper() == _BEGINNING.encode() or name.casefold().endswith(".ics")


def read(name: str, content: bytes) -> Contents:
    """Return what a file holds.

    Args:
        name: of the file.
        content: of the file, of a size that the caller has bounded.

    Raises:
        InvalidFileError: with everything that is wrong.
    """
    problems = Problems()
    reader = _Reader(name, problems)
    raws = list(reader.entries(_text(name, content)))
    moved = {uid for raw in raws if "RECURRENCE-ID" in raw.lines if (uid := _uid(raw)) is not None}
    for raw in raws:
        reader.take(raw, is_moved=_uid(raw) in moved)
    problems.raise_if_any()
    if not reader.found.events and not reader.found.left_out:
        raise _refuse(name, None, "no-events", "entries of whole days (VEVENT)")
    return reader.found


def _refuse(name: str, line: int | None, code: str, expected: str) -> InvalidFileError:
    return InvalidFileError([Problem(name, line, None, code, None, expected)])


def _text(name: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refuse(name, line, "not-utf8", "text in UTF-8") from error
    if not text.lstrip().upper().startswith(_BEGINNING):
        raise _refuse(name, 1, "not-icalendar", f"a file that begins with {_BEGINNING}")
    return text


def _unfolded(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Return lines with where they begin; one that begins with white space goes on the one before."""
    parts: list[str] = []
    began = 1
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if number > _MAX_LINES:
            raise _refuse(name, number, "too-many-lines", f"at most {_MAX_LINES} lines")
        if line[:1] in {" ", "\t"} and parts:
            parts.append(line[1:])
            continue
        if parts:
            yield began, "".join(parts)
        parts, began = [line], number
    yield began, "".join(parts)


def _uid(raw: _Raw) -> str | None:
    return next((text.partition(":")[2] for text in raw.texts if text[:3].upper() == "UID"), None)


class _Reader:
    """Reads lines into entries, and entries into events; collects problems."""

    def __init__(self, name: str, problems: Problems) -> None:
        self.found = Contents()
        self._name = name
        self._problems = problems

    def _fault(self, line: int, column: str | None, code: str, found: str | None, expected: str) -> None:
        self._problems.add(Problem(self._name, line, column, code, found, expected))

    def entries(self, text: str) -> Iterator[_Raw]:
        """Return each VEVENT's lines, only those that are read, without what stands inside it (alarms)."""
        inside: list[str] = []
        raw: _Raw | None = None
        count = 0
        for line, told in _unfolded(self._name, text):
            named = _NAME.match(told)
            name = named.group().upper() if named is not None else ""
            if name == "BEGIN":
                inside.append(told.partition(":")[2].strip().upper())
                if inside[1:] == ["VEVENT"]:
                    raw, count = _Raw(line), count + 1
                if len(inside) > 4 or count > _MAX_ENTRIES:  # a calendar, an entry, its alarm, and one to spare
                    raise _refuse(
                        self._name, line, "too-many-events", f"at most {_MAX_ENTRIES} entries, none in another"
                    )
            elif name == "END":
                if not inside or inside.pop() != told.partition(":")[2].strip().upper():
                    raise _refuse(self._name, line, "bad-structure", "an END for each BEGIN")
                if raw is not None and len(inside) == 1:
                    yield raw
                    raw = None
            elif raw is not None and len(inside) == 2 and name in _READ:
                self._line(raw, line, name, told)
        if inside:
            raise _refuse(self._name, None, "bad-structure", f"an END for each BEGIN; {inside[-1][:20]} has none")

    def _line(self, raw: _Raw, line: int, name: str, told: str) -> None:
        if len(told) > _MAX_CHARACTERS:
            self._fault(line, name, "too-long", None, f"at most {_MAX_CHARACTERS} characters")
        elif name in raw.lines and name not in {"RDATE", "EXDATE"}:
            self._fault(line, name, "duplicate-property", name, "each property once in an entry")
        else:
            raw.lines[name] = line
            raw.texts.append(told)

    def take(self, raw: _Raw, *, is_moved: bool) -> None:
        """Note an entry as an event or as left out; notes what is wrong."""
        entry = self._parsed(raw)
        if entry is None:
            return
        title = _title(entry)
        reason = self._reason(entry, is_moved=is_moved)
        if reason is not None:
            self.found.left_out.append(LeftOut(raw.line, title or "", reason))
            return
        first = _day(_moment(entry, "DTSTART"))
        if first is not None and not is_plausible(first):  # also as reckoning ends where a date does
            self._far(raw, first)
            return
        span = self._span(raw, entry)
        if not title:
            self._fault(raw.lines.get("SUMMARY", raw.line), "SUMMARY", "bad-title", None, "words that say what it is")
        if span is None or not title:
            return
        spans = _repeated(span, entry)
        if spans is None:
            self.found.left_out.append(LeftOut(raw.line, title, "repeats"))
            return
        if not all(is_plausible(on) for one in spans for on in one):
            self._far(raw, span[0])
            return
        self.found.events.append(Event(raw.line, title, spans, judge(title)))
        if len(self.found.events) > MAX_EVENTS:
            raise _refuse(self._name, raw.line, "too-many-events", f"at most {MAX_EVENTS} entries of whole days")

    def _far(self, raw: _Raw, on: date) -> None:
        expected = f"dates from {FIRST_YEAR} to {LAST_YEAR}"
        self._fault(raw.lines["DTSTART"], "DTSTART", "far-date", on.isoformat(), expected)

    def _parsed(self, raw: _Raw) -> Entry | None:
        before = self._problems.count
        try:
            entry = Entry.from_ical("\r\n".join(["BEGIN:VEVENT", *raw.texts, "END:VEVENT"]))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, OSError):
            # What the library raises over lines that are none, and over names of time zones, which it looks for as
            # files; a fault of the file, whatever its name.
            self._fault(raw.line, None, "bad-event", None, "an entry (VEVENT) with a date and a title")
            return None
        if not isinstance(entry, Entry):
            self._fault(raw.line, None, "bad-event", None, "an entry (VEVENT) with a date and a title")
            return None
        for name, _ in entry.errors:
            line = raw.lines.get(str(name), raw.line)
            if name in {"DTSTART", "DTEND"}:
                self._fault(line, str(name), "bad-date", _value(raw, str(name)), _DATES)
            else:
                self._fault(line, name, "bad-event", None, "a line of an entry as RFC 5545 has it")
        if self._problems.count == before and not isinstance(_moment(entry, "DTSTART"), date):
            line = raw.lines.get("DTSTART", raw.line)
            self._fault(line, "DTSTART", "bad-date", _value(raw, "DTSTART"), _DATES)
        return entry if self._problems.count == before else None

    def _reason(self, entry: Entry, *, is_moved: bool) -> str | None:
        """Return why an entry is nothing for a school calendar, None where it may be something."""
        if str(entry.get("STATUS", "")).casefold() == "cancelled":
            return "cancelled"
        if is_moved or "RDATE" in entry or "EXDATE" in entry:
            return "repeats"
        moments = [_moment(entry, "DTSTART"), _moment(entry, "DTEND")]
        return None if all(_is_whole(moment) for moment in moments if moment is not None) else "time"

    def _span(self, raw: _Raw, entry: Entry) -> Span | None:
        """Return first and last date; None, with what is wrong noted, where they cannot be."""
        first, end = (_day(_moment(entry, name)) for name in ("DTSTART", "DTEND"))
        if first is None:
            return None
        if end is None and (lasts := _moment(entry, "DURATION")) is not None:
            end = first + lasts if isinstance(lasts, timedelta) and abs(lasts.days) <= MAX_RANGE_DAYS else first
            if not isinstance(lasts, timedelta) or not 0 <= lasts.days <= MAX_RANGE_DAYS:
                self._fault(raw.lines["DURATION"], "DURATION", "bad-range", None, f"at most {MAX_RANGE_DAYS} days")
                return None
        days = (end - first).days if end is not None else 1
        if not 0 <= days <= MAX_RANGE_DAYS:
            found = _value(raw, "DTEND")
            self._fault(
                raw.lines["DTEND"], "DTEND", "bad-range", found, f"a later date, at most {MAX_RANGE_DAYS} days in all"
            )
            return None
        # An end on the first date itself is written by some; they mean that date.
        return first, first + timedelta(days=max(days, 1) - 1)


def _value(raw: _Raw, name: str) -> str | None:
    return next((text.rpartition(":")[2] for text in raw.texts if text.upper().startswith(name)), None)


def _title(entry: Entry) -> str:
    """Return the words of an entry on one line, shortened to what a day's title may be."""
    words = " ".join(str(entry.get("SUMMARY", "")).split())
    return "".join(letter for letter in words if letter.isprintable())[:MAX_TITLE].strip()


def _moment(entry: Entry, name: str) -> Any:
    return getattr(entry.get(name), "dt", None)


def _is_whole(moment: Any) -> bool:
    """Whether a moment is a date, or the local midnight that some write for one."""
    if isinstance(moment, datetime):
        return moment.tzinfo is not UTC and moment.utcoffset() != timedelta(0) and moment.time() == time()
    return isinstance(moment, date)


def _day(moment: Any) -> date | None:
    return moment.date() if isinstance(moment, datetime) else moment


def _repeated(span: Span, entry: Entry) -> tuple[Span, ...] | None:
    """Return each time an entry takes place; None where its rule is not a plain one that ends soon.

    Rules of the form's other parts would have to be worked out by trying dates, for as long as whoever wrote them
    likes.
    """
    rule = entry.get("RRULE")
    if rule is None:
        return (span,)
    if not isinstance(rule, Mapping) or any(not isinstance(value, list) or len(value) != 1 for value in rule.values()):
        return None
    told: dict[str, Any] = {str(name).upper(): value[0] for name, value in rule.items()}
    first = span[0]
    spare = {
        "WEEKLY": {"BYDAY": _WEEKDAYS[first.weekday()]},
        "YEARLY": {"BYMONTH": str(first.month), "BYMONTHDAY": str(first.day)},
    }.get(told.get("FREQ", ""), {})  # what some write although the first date says it
    if any(name not in _RULED and str(value) != spare.get(name) for name, value in told.items()):
        return None
    interval, count, until = told.get("INTERVAL", 1), told.get("COUNT"), _day(told.get("UNTIL"))
    ends_soon = (count is None) != (until is None) and (until is None or isinstance(until, date))  # no time of day
    if not ends_soon or not isinstance(interval, int) or interval < 1:
        return None
    found: list[Span] = []
    while len(found) <= MAX_REPEATS and (len(found) != count if until is None else True):
        start = _later(first, told.get("FREQ"), len(found) * interval)
        if start is None or date.max - start < span[1] - first:
            return None
        if until is not None and start > until:
            break
        found.append((start, start + (span[1] - first)))
    return tuple(found) if 0 < len(found) <= MAX_REPEATS else None


def _later(first: date, frequency: Any, number: int) -> date | None:
    """Return a date so many steps later; None where there is none, or the step is another one."""
    try:
        if frequency == "YEARLY":
            return first.replace(year=first.year + number)
        return first + _STEPS[frequency] * number
    except (KeyError, ValueError, OverflowError, TypeError):
        return None
