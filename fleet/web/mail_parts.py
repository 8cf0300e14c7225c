"""What a mail is made of, and its two forms: plain text and HTML say the same, as both are made from the same parts.

The HTML is what clients of mail can show: one column of tables, styles on each element, nothing that is fetched from
anywhere. A sheet in the head is only for the dark and for small screens; without it all is readable.
Not here: what a mail says, see ``letters``.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import current_app

from fleet.web.languages import code

WIDTH = 76  # of the plain text, in characters
_TEMPLATE = "mail/mail.html"
PLAIN, GOOD, NOTE, BAD = "plain", "good", "note", "bad"


@dataclass(frozen=True, slots=True)
class Way:
    """A link: what it says, and where it leads."""

    words: str
    address: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a section: what, something about it, where it leads, and what can be answered."""

    words: str
    about: str = ""
    address: str | None = None
    answers: Sequence[Way] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under a title.

    Args:
        title: of the section.
        lines: in their order.
        tone: how pressing it is: ``plain``, ``good``, ``note`` or ``bad``.
        why: what it means, or what to do.
        more: the way to those that are left out.
    """

    title: str
    lines: Sequence[Line]
    tone: str = PLAIN
    why: str = ""
    more: Way | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """A whole mail.

    Args:
        subject: its subject.
        preview: what a list of mails shows beside the subject.
        place: which school, municipality or server it is about.
        heading: above it all.
        lead: sentences below the heading.
        sections: what it tells.
        ways: the buttons below.
        foot: why it came, in sentences.
        foot_ways: where one can change that.
    """

    subject: str
    preview: str
    place: str
    heading: str
    lead: Sequence[str]
    sections: Sequence[Section] = ()
    ways: Sequence[Way] = ()
    foot: Sequence[str] = ()
    foot_ways: Sequence[Way] = ()


def html(mail: Mail) -> str:
    """Return a mail as HTML, in the language in use; needs an application, and no request."""
    # Not by render_template: what pages are given besides belongs to somebody who is signed in.
    template = current_app.jinja_env.get_template(_TEMPLATE)
    return template.render(mail=mail, language=code())


def text(mail: Mail) -> str:
    """Return a mail as plain text."""
    told = [mail.place, mail.heading, "=" * min(len(mail.heading), WIDTH), ""]
    for sentence in mail.lead:
        told += [*_wrapped(sentence), ""]
    for section in mail.sections:
        told += [*_section(section), ""]
    for way in mail.ways:
        told += [_way(way), ""]
    if mail.foot or mail.foot_ways:
        told.append("-- ")  # RFC 3676 4.3: what follows is no part of what is told
        for sentence in mail.foot:
            told += _wrapped(sentence)
        told += [_way(way) for way in mail.foot_ways]
    return "\n".join(told).rstrip() + "\n"


def _section(section: Section) -> Iterator[str]:
    yield section.title
    yield "-" * min(len(section.title), WIDTH)
    if section.why:
        yield from _wrapped(section.why)
    for line in section.lines:
        told = f"{line.words} \N{EN DASH} {line.about}" if line.about else line.words
        yield from _wrapped(told, first="* ", rest="  ")
        if line.address:
            yield f"  {line.address}"
        for way in line.answers:
            yield f"  {_way(way)}"
    if section.more is not None:
        yield _way(section.more)


def _way(way: Way) -> str:
    """Return a link on one line, however long: broken, it leads nowhere."""
    return f"{way.words}: {way.address}"


def _wrapped(told: str, *, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        told, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
