"""What of silence needs somebody now: incidents, tablets that are missing, questions that nobody has answered.

Cards of Today, before the others of :mod:`fleet.web.needs`: what is gone is looked for first. The members of an
incident are one card's matter and counted nowhere else.
"""

from collections.abc import Mapping
from datetime import datetime

from flask import url_for
from flask_babel import ngettext

from fleet.access import Permission, Principal
from fleet.compliance import incidents, questions
from fleet.compliance.models import FindingKind
from fleet.web import words, words_silence
from fleet.web.needs import LINES, Line, Need
from fleet.web.texts import translated as _


def needs(*, by: Principal, now: datetime, counts: Mapping[str, int]) -> list[Need]:
    """Return the cards for whoever looks after schools.

    Args:
        by: who looks.
        now: the instant.
        counts: the open findings ``by`` may see.
    """
    found = [_missing(counts), _incidents(by, now), _asked(by, now)]
    return [one for one in found if one is not None]


def _incidents(by: Principal, now: datetime) -> Need | None:
    found = incidents.open_incidents(by=by, is_short=True)
    if not found:
        return None
    lines = [
        Line(
            words_silence.place(one),
            url_for("web.incident", incident_id=one.incident.id),
            words_silence.sentence(one, now),
        )
        for one in found[:LINES]
    ]
    return Need(
        "incidents", words.WAITING, "network", len(found), ngettext("incident", "incidents", len(found)),
        _("Many tablets silent for one reason. They are not counted as silent one by one."), lines,
        url_for("web.incident_list"), _("Show the incidents"),
    )  # fmt: skip


def _missing(counts: Mapping[str, int]) -> Need | None:
    number = counts[FindingKind.MISSING]
    if not number:
        return None
    return Need(
        "missing", words.BAD, "pin", number, ngettext("missing tablet", "missing tablets", number),
        _("Somebody says that it is gone, or nobody has known of it for days."), [],
        url_for("web.silence", _anchor="missing-title"), _("See to them"),
    )  # fmt: skip


def _asked(by: Principal, now: datetime) -> Need | None:
    """Show a school's own IT what waits for it; the municipality has it on the page behind the other cards."""
    if not by.school_ids(Permission.ENTER_ABSENCE):
        return None
    found = [one for one in questions.waiting(by=by) if one.question.escalated_at is not None]
    if not found:
        return None
    lines = [
        Line(
            words_silence.tablet(one.device),
            url_for("web.tablet", serial=one.device.serial),
            _("last heard from %(time)s", time=words_silence.at(one.heard_at, now)),
        )
        for one in found[:LINES]
    ]
    return Need(
        "questions", words.WAITING, "silent", len(found),
        ngettext("question nobody has answered", "questions nobody has answered", len(found)),
        _("The classes' teachers were asked where these tablets are."), lines,
        url_for("web.silence", _anchor="asked"), _("Answer"),
    )  # fmt: skip
