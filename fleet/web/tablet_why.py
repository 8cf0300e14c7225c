"""Why a tablet has what it has: every setting with value, winner, losers and rule; and what it would have if …."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flask import request

from fleet import clock
from fleet.access import Permission
from fleet.assignments import library, reasons
from fleet.assignments.reasons import Case, Source, Why
from fleet.devices import queries as devices
from fleet.schools import finding as places_of
from fleet.web import signed_in, tablet, words, words_lessons, words_profiles
from fleet.web.blueprint import web
from fleet.web.formats import NOTHING
from fleet.web.pages import show
from fleet.web.values import local_time, whole
from profiles.known_as import is_called
from profiles.layering import Reason
from profiles.unmet import Unmet
from profiles.vocabulary import VOCABULARY

_MAX_TEXT = 100
_REFRESH_S = 60  # what applies changes seldom, and one reads here
GROUPS = ("theme", "profile", "none")


@dataclass(frozen=True, slots=True)
class Row:
    """A setting in words: what it is, what it would be in place of, who made it so, and who wanted something else.

    ``unmet`` says why the tablet will not have it.
    """

    key: str
    title: str
    value: str
    was: str | None
    rule: str
    winners: Sequence[Source]
    losers: Sequence[tuple[Source, str]]
    removed: Sequence[str]
    kept: Sequence[str]
    unmet: Sequence[str] = ()

    @property
    def differs(self) -> bool:
        """Whether it would be another value than now."""
        return self.was is not None


@web.get("/tablets/<serial>/why")
def tablet_why(serial: str) -> str:
    """Show why a tablet has what it has, or what it would have."""
    by, now = signed_in.by(), clock.now()
    device = devices.find_device(serial, by=by)
    text = request.args.get("q", "").strip()[:_MAX_TEXT]
    group = request.args.get("group", "")
    at, class_id, ended = (
        _instant(request.args.get("at", "")),
        whole(request.args.get("class")),
        "ended" in request.args,
    )
    classes = places_of.basic_classes(by, Permission.SEE_CLASS, school_id=device.school_id)
    in_class = next((one for one in classes if one.id == class_id), None)
    case = Case(at or now, without_leases=ended, in_class=in_class)
    is_if = at is not None or ended or in_class is not None
    present, *would = reasons.compare(device, [Case(now), case] if is_if else [Case(now)])
    meant = would[0] if would else present
    rows = _rows(meant, present, reasons.unmet(device, meant.effective.settings))
    every = [*present.sources.values(), *(one for case in would for one in case.sources.values())]
    titles = library.titles({one.profile for one in every})
    kept = [row for row in rows if is_called(VOCABULARY[row.key], text.split(), row.title, row.value)]
    chosen = group if group in GROUPS else GROUPS[0]
    return show(
        "tablet_why",
        **tablet.head(device),
        groups=_grouped(kept, chosen, titles),
        titles=titles,
        count=len(kept),
        differing=sum(row.differs for row in rows),
        lacking=sum(bool(row.unmet) for row in rows),
        is_if=is_if,
        has_lesson=any(one.scope == "lesson" for one in present.sources.values()),
        text=text,
        group=chosen,
        at=at.astimezone(signed_in.timezone()) if at is not None else None,
        in_class=in_class,
        ended=ended,
        classes=classes,
        refresh_s=_REFRESH_S,
    )


def _instant(told: str) -> datetime | None:
    """Return the instant of a local time as a browser's field tells it; None where it is none."""
    found = local_time(told)
    return found.replace(tzinfo=signed_in.timezone()) if found is not None and found.tzinfo is None else found


def _rows(why: Why, present: Why, unmet: Mapping[str, Sequence[Unmet]]) -> list[Row]:
    """Return all settings that are or were, in words; those that would differ first."""
    now, then = present.effective.reasons, why.effective.reasons
    rows = [
        replace(
            _row(key, reason, why.sources, now if why is not present else None),
            unmet=[words_profiles.unmet(one) for one in unmet.get(key, ())],
        )
        for key, reason in then.items()
    ]
    gone = [key for key in now if key not in then]
    rows += [_gone(key, now[key].value) for key in gone]
    return sorted(rows, key=lambda row: (not row.differs, row.title.casefold()))


def _row(key: str, reason: Reason, sources: Mapping[str, Source], now: Mapping[str, Reason] | None) -> Row:
    def worded(value: Any) -> str:
        return words_profiles.in_force(VOCABULARY[key], value)

    was = None
    if now is not None and (key not in now or now[key].value != reason.value):
        was = worded(now[key].value) if key in now else NOTHING
    return Row(
        key,
        words.setting(VOCABULARY[key]),
        worded(reason.value),
        was,
        words.rule(reason.rule),
        [sources[layer] for layer in reason.winners],
        [(sources[one.layer], worded(one.value)) for one in reason.losers],
        reason.removed,
        reason.kept,
    )


def _gone(key: str, value: Any) -> Row:
    was = words_profiles.in_force(VOCABULARY[key], value)
    return Row(key, words.setting(VOCABULARY[key]), NOTHING, was, "", (), (), (), ())


def _grouped(rows: Sequence[Row], group: str, titles: Mapping[str, str]) -> list[tuple[str, list[Row]]]:
    """Return settings under titles: by what they are about, by the profile that made them so, or all together."""
    if group == "none":
        return [("", list(rows))] if rows else []
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_title(row, group, titles), []).append(row)
    if group == "profile":
        return sorted(found.items())
    themes = [words_profiles.theme(name) for name in words_profiles.THEMES]
    return [(title, found[title]) for title in themes if title in found]


def _title(row: Row, group: str, titles: Mapping[str, str]) -> str:
    if group == "profile":
        first = row.winners[0] if row.winners else None
        return words_lessons.source(first.profile, first.version, titles) if first is not None else NOTHING
    return words_profiles.theme(words_profiles.theme_of(row.key))
