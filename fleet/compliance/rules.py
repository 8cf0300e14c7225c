"""Rules as values, and what they find about one tablet: pure, from what it told and what it shall have.

Two kinds of patience keep findings calm. A finding that waits (for a profile to arrive, for an app to be installed or
removed) is opened only when its grace is over; one that is open stays while its reason stays, so that a lesson's
profile, which starts every grace anew, makes nothing flicker. Where a grace is running, or a condition looks at the
clock, the outcome says when to look again, as the tablet may have nothing new to tell by then.

A rule that takes more than its bounds (:mod:`fleet.compliance.expressions`) finds nothing and ends nothing, and the
other rules go on.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fleet.compliance.expressions import Condition, Evaluation, ExpressionLimitError, compiled, shown, texts
from fleet.compliance.functions import as_instant
from fleet.compliance.models import Severity
from fleet.devices.models import Platform

MAX_OF_A_KIND = 50  # a tablet without any of its apps is one problem, not two thousand

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is worth a look about a tablet.

    Args:
        code: the kind of its findings.
        condition: an expression; true: one finding, a list of texts: one for each, named by it.
        stays: an open finding stays while this holds; None: while the condition does.
        shows: what its findings keep for their text: names and expressions.
        since: expression for the instant that the grace counts from; None: from when it was first noticed. An
            instant that nobody has told counts as long ago.
        grace_min: minutes until a finding opens.
        severity: how much its findings matter.
        school_ids: the schools it is for; None: all, and tablets without one.
        platforms: what it is for; None: all.
        is_on: whether it is in force.
        title: of a rule of one's own; None: shipped ones are named by the doors.
        is_shipped: whether it comes with the server.
        version: rises with each change; 0: as it was shipped.
        changed_at: when it was last changed.
        changed_by: by whom, as ``Principal.name``.
        failed_at: when it last took more than its bounds; None: never since it was changed.
    """

    code: str
    condition: str
    stays: str | None = None
    shows: tuple[tuple[str, str], ...] = ()
    since: str | None = None
    grace_min: int = 0
    severity: Severity = Severity.WARNING
    school_ids: frozenset[int] | None = None
    platforms: frozenset[Platform] | None = None
    is_on: bool = True
    title: str | None = None
    is_shipped: bool = True
    version: int = 0
    changed_at: datetime | None = None
    changed_by: str | None = None
    failed_at: datetime | None = None

    def is_for(self, platform: Platform | None, school_id: int | None) -> bool:
        """Whether it is for a tablet of this kind at this school."""
        is_platform = self.platforms is None or platform in self.platforms
        return is_platform and (self.school_ids is None or school_id in self.school_ids)


@dataclass(frozen=True, slots=True)
class Found:
    """A fact that is worth a look, with what its text needs."""

    kind: str
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = Severity.WARNING

    @property
    def name(self) -> Name:
        """What tells it apart from the tablet's other findings."""
        return self.kind, self.subject


@dataclass(frozen=True, slots=True)
class Outcome:
    """What rules say of a tablet.

    Args:
        findings: what is worth a look now.
        waits: what has been noticed while its grace runs, and until when.
        noticed: what of that counts from when it was first noticed, and so is to be kept.
        failed: codes of rules that took more than their bounds.
        again_at: when to look again although nothing changes.
    """

    findings: tuple[Found, ...] = ()
    waits: Mapping[Name, datetime] = field(default_factory=dict)
    noticed: frozenset[Name] = frozenset()
    failed: frozenset[str] = frozenset()
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What was known of a tablet before.

    Args:
        is_open: kinds and subjects of its open findings, and of those that are mute.
        noticed: since when what waits has been noticed.
    """

    is_open: AbstractSet[Name] = frozenset()
    noticed: Mapping[Name, datetime] = field(default_factory=dict)


NOTHING = Past()


@dataclass(frozen=True, slots=True)
class Ready:
    """A rule with its expressions read."""

    rule: Rule
    condition: Condition
    stays: Condition | None
    since: Condition | None
    shows: tuple[tuple[str, Condition], ...]

    @property
    def looks_at_life(self) -> bool:
        """Whether it looks at tablets that are not in use yet: only what asks for ``tablet.life`` does."""
        return "tablet.life" in self.condition.fields


def ready(rules: Iterable[Rule]) -> tuple[Ready, ...]:
    """Return those rules that are on with their expressions read.

    Raises:
        ExpressionError: an expression is none.
    """
    return tuple(_ready(rule) for rule in rules if rule.is_on)


def _ready(rule: Rule) -> Ready:
    stays, since = (compiled(one) if one is not None else None for one in (rule.stays, rule.since))
    shows = tuple((name, compiled(one)) for name, one in rule.shows)
    return Ready(rule, compiled(rule.condition), stays, since, shows)


def judge(rules: Sequence[Ready], document: Mapping[str, Any], past: Past, evaluation: Evaluation) -> Outcome:
    """Return what rules that are for a tablet say of it; silence is judged elsewhere.

    Args:
        rules: those to ask.
        document: the tablet (:mod:`fleet.compliance.documents`).
        past: what was known before.
        evaluation: works expressions out, at its instant.
    """
    findings: list[Found] = []
    waits: dict[Name, datetime] = {}
    noticed: set[Name] = set()
    failed: set[str] = set()
    evaluation.again_at = None
    for one in rules:
        try:
            with evaluation.on_behalf_of(one.rule.code):
                found, waiting = _judge(one, document, past, evaluation)
        except ExpressionLimitError:
            failed.add(one.rule.code)
            continue
        findings.extend(found)
        waits.update(waiting)
        if one.since is None:
            noticed.update(waiting)
    again = [*waits.values(), *([evaluation.again_at] if evaluation.again_at is not None else [])]
    return Outcome(tuple(findings), waits, frozenset(noticed), frozenset(failed), min(again, default=None))


def _judge(
    one: Ready, document: Mapping[str, Any], past: Past, evaluation: Evaluation
) -> tuple[list[Found], dict[Name, datetime]]:
    code = one.rule.code
    candidates = texts(evaluation.value(one.condition, document))
    standing = {subject for kind, subject in past.is_open if kind == code}
    if standing and one.stays is not None:
        staying = standing & set(texts(evaluation.value(one.stays, document)))
    else:
        staying = standing & set(candidates)
    names = sorted(staying)
    waits: dict[Name, datetime] = {}
    fresh = [subject for subject in candidates if subject not in staying]
    for subject in fresh[: max(0, MAX_OF_A_KIND - len(names))]:
        due = _due(one, document, past.noticed.get((code, subject)), evaluation)
        if due is None or due <= evaluation.now:
            names.append(subject)
        else:
            waits[code, subject] = due
    if not names:
        return [], waits
    detail = {name: shown(evaluation.value(value, document)) for name, value in one.shows}
    return [Found(code, subject, detail, one.rule.severity) for subject in names], waits


def _due(
    one: Ready, document: Mapping[str, Any], noticed_at: datetime | None, evaluation: Evaluation
) -> datetime | None:
    """Return when something that is noticed opens; None: at once."""
    grace = timedelta(minutes=one.rule.grace_min)
    if one.since is None:
        return (noticed_at or evaluation.now) + grace if grace else None
    since = as_instant(evaluation.value(one.since, document))
    return since + grace if since is not None else None
