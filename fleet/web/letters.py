"""Mails as people read them: what the area of alerts wants to tell, in the reader's language, as text and HTML.

Made in the application's context and in no request, by whoever sends: nobody is signed in, so nothing here asks the
database or who one is. A tablet is named by its tag, its class and its school; no pupil is.
"""

from collections.abc import Iterator, Sequence

from flask import Flask, current_app
from flask_babel import ngettext

from fleet.alerts.letters import Contents, Item, Written
from fleet.alerts.models import AlertTopic, LetterKind
from fleet.compliance.models import Answer, Severity
from fleet.web import letter_lines, mail_parts, words_alerts, words_silence
from fleet.web.languages import NAMES
from fleet.web.mail_parts import BAD, NOTE, PLAIN, Line, Mail, Section, Way
from fleet.web.texts import in_language
from fleet.web.texts import translated as _

_DEFAULT = "nb"
_OF_TABLETS = frozenset({AlertTopic.FINDINGS, AlertTopic.SERIOUS, AlertTopic.MISSING, AlertTopic.ESCALATED})


def install(app: Flask) -> None:
    """Have letters written by this module."""
    app.extensions["fleet_letter_writer"] = write


def write(contents: Contents, language: str) -> Written:
    """Return a letter in a language.

    Args:
        contents: what it tells.
        language: nb, nn or en; what is none of them counts as nb.
    """
    with in_language(language if language in NAMES else _DEFAULT):
        mail = _MAILS[contents.kind](contents)
        return Written(_one_line(mail.subject), mail_parts.text(mail), mail_parts.html(mail))


def _one_line(told: str) -> str:
    """Return a subject without what would begin another header."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in told).split())


def _address(contents: Contents, endpoint: str, **values: object) -> str:
    # Not by url_for, which needs to know the server's name as Flask has it.
    path = current_app.url_map.bind("server").build(f"web.{endpoint}", values)
    return f"{contents.base_url}{path}"


def _digest(contents: Contents) -> Mail:
    number = len(contents.items) + contents.more
    where = contents.school or _("all schools")
    title = ngettext("%(num)d thing to look at", "%(num)d things to look at", number)
    lead = [_("This is new since the last mail. What is in order again is left out.")]
    return _of_events(contents, f"{title} \N{EN DASH} {where}", title, lead)


def _at_once(contents: Contents) -> Mail:
    first = contents.items[0] if contents.items else None
    number = len(contents.items) + contents.more
    if first is not None and number == 1:
        subject = letter_lines.headline(first)
        about = ", ".join(part for part in (first.class_title, first.school) if part)
        if about:
            subject = f"{subject} \N{EN DASH} {about}"
        title = letter_lines.headline(first)
    else:
        title = _many_at_once(contents, number)
        subject = f"{title} \N{EN DASH} {contents.school or _('all schools')}"
    lead = []
    if any(one.is_escalated for one in contents.items):
        lead = [_("Nobody has answered this within a school day, so now you are told.")]
    elif contents.items and all(one.topic is AlertTopic.QUESTIONS for one in contents.items):
        lead = [
            _("The server has not heard from it as expected. Do you know where it is? One press is enough."),
            _("If it speaks again meanwhile, there is nothing you have to do."),
        ]
    return _of_events(contents, subject, title, lead)


def _of_events(contents: Contents, subject: str, heading: str, lead: Sequence[str]) -> Mail:
    return Mail(
        subject=subject,
        preview=", ".join(_counted(contents)),
        place=_place(contents),
        heading=heading,
        lead=lead,
        sections=_sections(contents),
        ways=_ways(contents),
        foot=[_why(contents)],
        foot_ways=_foot_ways(contents),
    )


def _many_at_once(contents: Contents, number: int) -> str:
    if all(one.topic is AlertTopic.QUESTIONS for one in contents.items):
        return str(ngettext("Where is %(num)d tablet?", "Where are %(num)d tablets?", number))
    if any(one.is_escalated for one in contents.items):
        return str(ngettext("%(num)d thing nobody has answered", "%(num)d things nobody has answered", number))
    return str(ngettext("%(num)d thing that cannot wait", "%(num)d things that cannot wait", number))


def _report(contents: Contents) -> Mail:
    name = contents.file_name or ""
    return Mail(
        subject=_("Report: %(name)s", name=name),
        preview=_("The report you have ordered is attached."),
        place=_place(contents),
        heading=_("The report you have ordered"),
        lead=[_("It is attached: %(name)s", name=name)],
        foot=[_("You get this because you have ordered it.")],
        foot_ways=_foot_ways(contents),
    )


def _test(contents: Contents) -> Mail:
    return Mail(
        subject=_("The mail server works"),
        preview=_("Mails from the tablets' server arrive."),
        place=_place(contents),
        heading=_("Mails arrive"),
        lead=[
            _(
                "%(name)s asked for this mail, to see whether the mail server's settings are right.",
                name=contents.reader,
            ),
            _("They are. There is nothing more to do."),
        ],
        ways=[Way(_("To the settings"), _address(contents, "settings_mail"))],
    )


_MAILS = {
    LetterKind.DIGEST: _digest,
    LetterKind.AT_ONCE: _at_once,
    LetterKind.REPORT: _report,
    LetterKind.TEST: _test,
}


def _place(contents: Contents) -> str:
    return " \N{MIDDLE DOT} ".join(part for part in (_("Tablets"), contents.school) if part)


def _counted(contents: Contents) -> Iterator[str]:
    """Say how many of each topic; what the list of mails shows beside the subject."""
    for topic, number in contents.counts.items():
        yield f"{words_alerts.topic(topic)}: {number}"


def _sections(contents: Contents) -> list[Section]:
    """Return what is told: what went up from somebody else first, then by topic and kind, as the letter has them."""
    items = sorted(contents.items, key=lambda one: not one.is_escalated)  # a stable sort: otherwise as they came
    order: dict[tuple[bool, str, str], list[Item]] = {}
    for one in items:
        order.setdefault((one.is_escalated, one.topic.value, one.title or one.kind), []).append(one)
    found = [_section(contents, told) for told in order.values()]
    if contents.more and found:
        last = found[-1]
        more = ngettext("and %(num)d more", "and %(num)d more", contents.more)
        found[-1] = Section(last.title, last.lines, last.tone, last.why, Way(more, _address(contents, "overview")))
    return found


def _section(contents: Contents, items: Sequence[Item]) -> Section:
    first = items[0]
    title = letter_lines.section(first)
    if len(items) > 1:
        title = f"{title} ({len(items)})"
    return Section(title, [_line(contents, one) for one in items], _tone(first), letter_lines.why(first))


def _tone(item: Item) -> str:
    if item.severity is Severity.SERIOUS or item.is_escalated:
        return BAD
    return NOTE if item.severity is Severity.WARNING else PLAIN


def _line(contents: Contents, item: Item) -> Line:
    address, answers = None, []
    if item.topic is AlertTopic.QUESTIONS:
        answers = [
            Way(words_silence.answer(one), _address(contents, "question", question_id=item.about_id or 0, answer=one))
            for one in Answer
        ]
    if item.tablet is not None:
        address = _address(contents, "search", q=item.tablet)  # leads straight to the tablet
    elif item.topic is AlertTopic.JOBS:
        address = _address(contents, "job", name=item.kind)
    elif item.topic is AlertTopic.INCIDENTS:
        address = _address(contents, "incident", incident_id=item.about_id or 0)
    is_of_many = contents.school is None
    return Line(letter_lines.words_of(item), letter_lines.about(item, with_school=is_of_many), address, answers)


def _ways(contents: Contents) -> list[Way]:
    if contents.items and all(one.topic is AlertTopic.QUESTIONS for one in contents.items):
        return []
    found = [Way(_("Open Today"), _address(contents, "overview"))]
    if any(one.topic in _OF_TABLETS for one in contents.items):
        school_ids = {one.school_id for one in contents.items}
        values = {"school_id": school_ids.pop()} if contents.school and len(school_ids) == 1 else {}
        found.append(Way(_("Show the findings"), _address(contents, "findings", **values)))
    return found


def _why(contents: Contents) -> str:
    if contents.items and all(one.topic is AlertTopic.QUESTIONS for one in contents.items):
        return _("You get this because you teach the class.")
    if contents.school:
        return _("You get this because of your role at %(school)s.", school=contents.school)
    return _("You get this because of your role in the municipality.")


def _foot_ways(contents: Contents) -> list[Way]:
    found = [Way(_("What you are told, and why"), _address(contents, "account_alerts"))]
    if contents.unsubscribe_url is not None:
        found.append(Way(_("No more mails about this"), contents.unsubscribe_url))
    return found
