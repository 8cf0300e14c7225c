"""What a mail says of one thing: its headline, the section it stands in, and its line there."""

from collections.abc import Callable, Mapping
from datetime import date

from fleet.alerts.letters import Item
from fleet.alerts.models import AlertTopic
from fleet.compliance.models import Finding, FindingKind, IncidentCause
from fleet.web import words, words_alerts, words_jobs, words_silence
from fleet.web.formats import day, minute
from fleet.web.texts import translated as _

# What the makers of tablets give for a year, by the name it has in the area of alerts.
ENDING: Mapping[str, Callable[[], str]] = {
    "push-certificate": lambda: _("Push certificate for iPads"),
    "server-token": lambda: _("Server token of Apple School Manager"),
    "licence-token": lambda: _("Token for Apps and Books"),
}


def headline(item: Item) -> str:
    """Return what a mail about this alone is called."""
    told = {
        AlertTopic.QUESTIONS: _("Where is tablet %(tablet)s?", tablet=item.tablet or ""),
        AlertTopic.INCIDENTS: _("Many tablets are silent: %(where)s", where=_cause(item)),
        AlertTopic.JOBS: _("A job did not go well: %(job)s", job=words_jobs.name(item.kind)),
        AlertTopic.CERTIFICATES: _("%(what)s runs out", what=_ending(item)),
    }.get(item.topic)
    if told is None:
        told = f"{_kind(item)}: {item.tablet or item.school or ''}".rstrip(": ")
    return _("Nobody has answered: %(what)s", what=told) if item.is_escalated else told


def section(item: Item) -> str:
    """Return the title under which this stands."""
    if item.topic in {AlertTopic.INCIDENTS, AlertTopic.QUESTIONS, AlertTopic.JOBS, AlertTopic.CERTIFICATES}:
        told = words_alerts.topic(item.topic)
    else:
        told = _kind(item)
    return _("Nobody has answered: %(what)s", what=told) if item.is_escalated else told


def why(item: Item) -> str:
    """Say what the section means, or what to do; empty where its title says it all."""
    if item.topic is AlertTopic.JOBS:
        return _("The next round may put it right; if not, the log of the server says why.")
    if item.topic in {AlertTopic.INCIDENTS, AlertTopic.CERTIFICATES}:
        return words_alerts.topic_why(item.topic)
    return words_alerts.topic_why(AlertTopic.MISSING) if item.kind == FindingKind.MISSING else ""


def words_of(item: Item) -> str:
    """Return what this is, as a line begins."""
    known = {
        AlertTopic.INCIDENTS: _cause,
        AlertTopic.JOBS: lambda one: words_jobs.name(one.kind),
        AlertTopic.CERTIFICATES: _ending,
    }.get(item.topic)
    return known(item) if known is not None else (item.tablet or item.school or _kind(item))


def about(item: Item, *, with_school: bool) -> str:
    """Return what is said besides: where, what exactly, and since when.

    Args:
        item: the thing.
        with_school: whether the mail is of several schools.
    """
    since = _("since %(moment)s", moment=minute(item.raised_at))
    parts = [item.class_title, item.school if with_school and item.tablet is not None else None]
    if item.topic is AlertTopic.INCIDENTS:
        most = item.detail.get("most")
        parts = [words_alerts.silent_tablets(most) if isinstance(most, int) else None]
        parts += [words_silence.cause(IncidentCause(item.kind)) if item.kind in set(IncidentCause) else None]
    elif item.topic is AlertTopic.CERTIFICATES:
        ends_on = _date(item.detail.get("ends_at"))
        parts, since = [], _("ends %(day)s", day=day(ends_on)) if ends_on is not None else since
    elif item.topic not in {AlertTopic.QUESTIONS, AlertTopic.JOBS} and item.title is None:
        parts.append(_sentence(item))
    return " \N{MIDDLE DOT} ".join(part for part in (*parts, since) if part)


def _kind(item: Item) -> str:
    return item.title or words.finding_title(item.kind)


def _sentence(item: Item) -> str:
    # Never stored: only so that a mail says what the page says.
    subject = str(item.detail.get("subject", ""))
    return words.finding_sentence(Finding(kind=item.kind, subject=subject, detail=dict(item.detail))).rstrip(".")


def _cause(item: Item) -> str:
    return words_alerts.cause(item.kind, item.detail, item.school)


def _ending(item: Item) -> str:
    known = ENDING.get(item.kind)
    return known() if known is not None else item.kind


def _date(told: object) -> date | None:
    try:
        return date.fromisoformat(str(told)[:10])
    except ValueError:
        return None
