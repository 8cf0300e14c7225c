"""What follows from a tablet's silence: pure. The job and a simulated school year take these same steps.

First come many (:mod:`fleet.compliance.clusters`): tablets that are quiet for one reason are one incident, and none of
them is asked about. What is left goes step by step: silent, and its class is asked where it is; nobody answers, and the
school's IT is asked; somebody says that it is gone, or nobody knows of it for days, and it is missing. A word heard
ends all. Invariant: the same scene, once its decisions are carried out, leads to none.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleet.compliance import clusters
from fleet.compliance.clusters import Gathered
from fleet.compliance.models import Answer, FindingKind, Severity
from fleet.compliance.quiet import Asked, Limits, Scene, Tablet
from fleet.schools.calendar import Calendar

# School days after that of the answer, for the first about a quiet and for those after it: what was a slip is found
# soon, and nobody has to say the same every day.
EXPLAINED_DAYS = {Answer.HOME: (0, 3), Answer.HERE: (3, 5)}
MORNING = timedelta(hours=1)
ANSWERED_WITHIN = timedelta(days=1)  # also where it had been quiet for long before anybody was asked
FEWEST_DAYS = 10  # fewer say nothing of a habit
USUAL_QUIET = 0.15  # quiet on so many of its days, a tablet is like any other
RARE = 0.01
DAY_HOURS = 6.25
MOST_PATIENCE = 6.0
FLAT_PERCENT = 10  # with so little left, it is flat most likely, and charged until the next morning
FLAT_PATIENCE = 1.65  # a school day and a little
_LOOKED_AHEAD_DAYS = 120


SEVERITY = {FindingKind.SILENT: Severity.WARNING, FindingKind.MISSING: Severity.SERIOUS}


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to be asked: of the class's teachers, or at once of the school's IT."""

    device_id: int
    class_id: int | None
    is_escalated: bool


@dataclass(slots=True)
class Decisions:
    """What is to be done. Findings by tablet and kind, questions and incidents by number."""

    opens: dict[int, tuple[FindingKind, Mapping[str, Any]]] = field(default_factory=dict)
    closes: list[int] = field(default_factory=list)  # findings
    asks: list[Ask] = field(default_factory=list)
    escalates: list[int] = field(default_factory=list)
    withdraws: list[int] = field(default_factory=list)
    unmutes: list[int] = field(default_factory=list)  # tablets whose reason is over
    gathered: Gathered = field(default_factory=Gathered)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        singles = (self.opens, self.closes, self.asks, self.escalates, self.withdraws, self.unmutes)
        return not any(singles) and self.gathered.is_empty


def decide(scene: Scene) -> Decisions:
    """Return what follows from a look at all quiet tablets."""
    done = Decisions(gathered=clusters.gather(scene))
    # Who leaves an incident now counts on from the next look, when its time in there is told as explained.
    inside = done.gathered.inside.union(*done.gathered.leaves.values())
    for one in scene.tablets:
        _step(one, scene, one.id in inside, done)
    return done


def _step(one: Tablet, scene: Scene, is_inside: bool, done: Decisions) -> None:
    kind = wanted(one, scene.limits, scene.now, is_inside=is_inside)
    if kind is None and one.mute:
        done.unmutes.append(one.id)
    standing = {FindingKind.SILENT: one.silent_id, FindingKind.MISSING: one.missing_id}
    done.closes += [number for other, number in standing.items() if number is not None and other is not kind]
    if kind is not None and standing[kind] is None and kind not in one.mute:
        done.opens[one.id] = kind, detail(one)
    _question(one, kind, scene, done)


def _question(one: Tablet, kind: FindingKind | None, scene: Scene, done: Decisions) -> None:
    """Ask about a tablet that is silent, pass on what nobody answered, and ask no more where it is not silent."""
    asked = one.asked
    if kind is None:
        if asked is not None and asked.is_open:
            done.withdraws.append(asked.id)
    elif asked is None or _is_asked_again(asked, scene.now):
        if kind not in one.mute and one.is_due:
            done.asks.append(Ask(one.id, one.class_id, one.class_id is None))
    elif asked.is_open and asked.escalated_at is None:
        waited = scene.calendar(one.school_id).school_seconds_between(asked.asked_at, scene.now)
        if waited >= scene.limits.escalates.total_seconds():
            done.escalates.append(asked.id)


def wanted(one: Tablet, limits: Limits, now: datetime, *, is_inside: bool = False) -> FindingKind | None:
    """Return which finding a tablet shall have: silent, missing or none.

    What is open stays while the plain limit is passed: a habit or a patience that changes makes nothing flicker.

    Args:
        one: the tablet.
        limits: how much time leads to what.
        now: the instant.
        is_inside: whether it is in an open incident.
    """
    asked = one.asked
    if not one.is_expected:
        return None
    if asked is not None and asked.answer is Answer.GONE:
        return FindingKind.MISSING
    if is_inside or (asked is not None and _is_excused(asked, now)):
        return None
    is_found = one.silent_id is not None or one.missing_id is not None
    if one.missed_s < limits.silent.total_seconds() * (1 if one.is_single else _patience(one)) or not (
        is_found or one.is_due
    ):
        return None
    unknown = limits.missing.total_seconds()
    if one.missing_id is None:  # it is asked about later, and called missing as much later
        unknown += limits.silent.total_seconds() * (one.patience - 1)
    is_missing = one.missed_s >= unknown and _is_unanswered(one, now)
    return FindingKind.MISSING if is_missing else FindingKind.SILENT


def _is_unanswered(one: Tablet, now: datetime) -> bool:
    """Whether nobody has said where a tablet is, and somebody could have; what is missing already stays so."""
    if one.asked is None or not one.asked.is_open:
        return False
    return one.missing_id is not None or (one.is_due and now - one.asked.asked_at >= ANSWERED_WITHIN)


def _patience(one: Tablet) -> float:
    """Return by how much asking about a tablet waits: for what it is used to, or for who charges it overnight."""
    is_flat = one.battery_percent is not None and one.battery_percent <= FLAT_PERCENT
    return max(one.patience, FLAT_PATIENCE) if is_flat else one.patience


def _is_excused(asked: Asked, now: datetime) -> bool:
    return asked.answer is Answer.HOME and asked.excused_until is not None and now < asked.excused_until


def _is_asked_again(asked: Asked, now: datetime) -> bool:
    """Whether an answer explains the quiet no more: wherever it was said to be, it still does not speak."""
    return asked.excused_until is not None and asked.excused_until <= now


def detail(one: Tablet) -> dict[str, Any]:
    """Return what the finding keeps for its text; nothing of a person."""
    told: dict[str, Any] = {"since": one.heard_at.isoformat(), "missed_s": one.missed_s}
    if one.battery_percent is not None:
        told["battery_percent"] = one.battery_percent
    if one.asked is not None and one.asked.answer is Answer.GONE:
        told["answer"] = Answer.GONE.value
    return told


def excused_until(
    answer: Answer, calendar: Calendar, answered_at: datetime, *, is_again: bool = False
) -> datetime | None:
    """Return until when an answer explains a silence: its day, some more of school, and the morning after them.

    "Gone" explains nothing: None.

    Args:
        answer: where the tablet is said to be.
        calendar: of its school.
        answered_at: when.
        is_again: whether an earlier question about the same quiet had been answered.
    """
    if answer not in EXPLAINED_DAYS:
        return None
    on = answered_at.astimezone(calendar.timezone).date()
    left = EXPLAINED_DAYS[answer][is_again]
    for _ in range(_LOOKED_AHEAD_DAYS):
        on += timedelta(days=1)
        if calendar.is_school_day(on):
            left -= 1
            if left < 0:
                break
    return datetime.combine(on, calendar.weekday_hours(on.weekday())[0], calendar.timezone) + MORNING


def patience(days: int, heard: int) -> float:
    """Return by how much a habit stretches what is asked about a tablet: 1 for one that is heard nearly every day.

    Args:
        days: how many school days have been counted.
        heard: on how many of them it was heard.
    """
    quiet = min(1 - heard / days, 0.99) if days >= FEWEST_DAYS else 0.0
    if quiet <= USUAL_QUIET:
        return 1.0
    by_chance = math.log(RARE) / math.log(quiet)  # so many quiet days in a row are as rare as that
    return min(MOST_PATIENCE, 1 + (by_chance - 1) * DAY_HOURS / Limits().silent.total_seconds() * 3600)


def is_used_to_late(days: int, heard_late: int) -> bool:
    """Whether a tablet is heard in the after-school programme on most days, so that it is expected there."""
    return days >= FEWEST_DAYS and heard_late >= 0.6 * days


def touched(decisions: Decisions, tablets: Collection[Tablet]) -> set[int]:
    """Return the tablets that decisions are about."""
    found = set(decisions.opens) | {one.device_id for one in decisions.asks} | set(decisions.unmutes)
    closing, questions = set(decisions.closes), {*decisions.escalates, *decisions.withdraws}
    for one in tablets:
        if one.silent_id in closing or one.missing_id in closing:
            found.add(one.id)
        if one.asked is not None and one.asked.id in questions:
            found.add(one.id)
    return found | decisions.gathered.touched
