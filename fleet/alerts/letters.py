"""Letters: what one tells, in no language, what a writer makes of it, and which there are.

Invariants: contents name a tablet by asset tag or serial, class and school, never a pupil; whoever writes gets all of
it here and asks the database nothing. Not here: which events stand in which letter (:mod:`fleet.alerts.planning`), and
who sends it (:mod:`fleet.alerts.sending`).
"""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from fleet.access import Permission, Principal, require
from fleet.alerts.models import AlertMute, AlertTopic, Letter, LetterFile, LetterKind, LetterState, MailServer
from fleet.compliance.models import Severity
from fleet.db import db
from fleet.errors import ConflictError, InvalidError, NotFoundError
from fleet.people.models import Account

MAX_FILE_BYTES = 10 * 1024 * 1024  # what mail servers take
_FILE_NAME = re.compile(r"[\w][\w .()+-]{0,118}\w")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,70}")
MOST_ITEMS = 100  # a letter shows so many, and says how many more there are


@dataclass(frozen=True, slots=True)
class Item:
    """Something a letter tells of.

    Args:
        topic: which.
        kind: the finding's kind, the incident's cause, the job's name, or what ends.
        severity: how much it matters.
        raised_at: since when.
        school_id: where; None: everywhere, or nowhere.
        school: its name.
        class_title: the class of the tablet.
        device_id: the tablet, where it is about one.
        tablet: its asset tag, else its serial.
        about_id: the finding, incident or question.
        title: of a rule of one's own; None for one that comes with the server.
        detail: what the text needs, as the finding or incident has it.
        is_escalated: whether it was somebody else's before, who has not answered.
    """

    topic: AlertTopic
    kind: str
    severity: Severity
    raised_at: datetime
    school_id: int | None = None
    school: str | None = None
    class_title: str | None = None
    device_id: int | None = None
    tablet: str | None = None
    about_id: int | None = None
    title: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    is_escalated: bool = False


@dataclass(frozen=True, slots=True)
class Contents:
    """What a letter tells.

    Args:
        kind: why it is written.
        reader: the name of the account.
        base_url: where the pages are, without a slash at the end.
        at: when it is written.
        school: of which it is; None: of all the reader looks after.
        items: the most serious first, the newest of them first.
        more: how many there are beyond.
        counts: how many of each topic, with those beyond.
        unsubscribe_url: where the reader can say no, without signing in; None: there is nothing to say no to.
        subject_key: which report is in the letter.
        file_name: as it is called.
    """

    kind: LetterKind
    reader: str
    base_url: str
    at: datetime
    school: str | None = None
    items: tuple[Item, ...] = ()
    more: int = 0
    counts: Mapping[AlertTopic, int] = field(default_factory=dict)
    unsubscribe_url: str | None = None
    subject_key: str | None = None
    file_name: str | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON, for :func:`contents_of`."""
        told = asdict(self)
        told["at"] = self.at.isoformat()
        told["items"] = [{**one, "raised_at": one["raised_at"].isoformat()} for one in told["items"]]
        return told


def contents_of(plain: Mapping[str, Any]) -> Contents:
    """Return what :meth:`Contents.plain` has kept."""
    told = dict(plain)
    names = {one.name for one in fields(Item)}
    items = tuple(
        Item(
            **{name: value for name, value in one.items() if name in names}
            | {
                "topic": AlertTopic(one["topic"]),
                "severity": Severity(one["severity"]),
                "raised_at": datetime.fromisoformat(one["raised_at"]),
            }
        )
        for one in told["items"]
    )
    told |= {
        "kind": LetterKind(told["kind"]),
        "at": datetime.fromisoformat(told["at"]),
        "items": items,
        "counts": {AlertTopic(topic): number for topic, number in told["counts"].items()},
    }
    return Contents(**told)


@dataclass(frozen=True, slots=True)
class Written:
    """A letter in the reader's language.

    Args:
        subject: one line.
        text: for who reads plain text.
        html: the same for who does not.
    """

    subject: str
    text: str
    html: str


# Given the contents and a language (nb, nn or en). Called in the application's context and in no request; the
# application has it in its extensions as ``fleet_letter_writer``.
Writer = Callable[[Contents, str], Written]


def sender_domain() -> str:
    """Return the domain our letters come from; one statement."""
    sender = db.session.scalar(select(MailServer.sender)) or "fleet.invalid"
    return sender.rpartition("@")[2][:40]


def new_message_id(domain: str) -> str:
    """Return a name for a letter from a domain. Source: RFC 5322 section 3.6.4."""
    return f"<{secrets.token_hex(16)}@{domain}>"


@dataclass(frozen=True, slots=True)
class Report:
    """A file for a letter.

    Args:
        subject_key: which report, for the writer.
        file_name: as it is called in the letter.
        media_type: of it.
        content: the file.
        reach: what its reader has to be allowed to see, as :meth:`fleet.access.Principal.reaches` takes it.
    """

    subject_key: str
    file_name: str
    media_type: str
    content: bytes = field(repr=False)
    reach: Sequence[str]


def queue_report(account_id: int, report: Report, *, now: datetime) -> Letter | None:
    """Have a report sent to who has ordered it; None where that one does not want reports any more.

    Args:
        account_id: whose.
        report: which.
        now: the instant.

    Raises:
        InvalidError: it is too large for a letter, or its name cannot stand in one.
        NotFoundError: there is no such account.
    """
    if len(report.content) > MAX_FILE_BYTES:
        raise InvalidError(kind="letter", reason="size", expected=f"at most {MAX_FILE_BYTES} bytes")
    if not _FILE_NAME.fullmatch(report.file_name) or not _MEDIA_TYPE.fullmatch(report.media_type):
        raise InvalidError(kind="letter", reason="file", expected="a name of letters and digits, and a media type")
    account = db.session.get(Account, account_id)
    if account is None:
        raise NotFoundError(kind="account", name=str(account_id))
    if account.disabled_at is not None or db.session.get(AlertMute, (account_id, AlertTopic.REPORTS)) is not None:
        return None
    made = Letter(
        key=f"report:{account_id}:{secrets.token_hex(8)}", kind=LetterKind.REPORT, account_id=account_id,
        message_id=new_message_id(sender_domain()), made_at=now, due_at=now,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    db.session.add(
        LetterFile(
            letter_id=made.id, subject_key=report.subject_key, file_name=report.file_name,
            media_type=report.media_type, content=report.content, reach=list(report.reach),
        )
    )  # fmt: skip
    db.session.flush()
    return made


def listed(
    *, by: Principal, account_id: int | None = None, state: LetterState | None = None, limit: int = 100
) -> Sequence[Letter]:  # fmt: skip
    """Return letters, the newest first, with their readers and schools; one statement.

    Args:
        by: who asks.
        account_id: only this account's, which may be ``by``'s own; None: all.
        state: only those.
        limit: at most so many.

    Raises:
        ForbiddenError: they are others', and ``by`` does not run the server.
    """
    if account_id is None or by.account_id != account_id:
        require(by, Permission.EDIT_MUNICIPALITY)
    query = select(Letter).options(joinedload(Letter.account), joinedload(Letter.school))
    if account_id is not None:
        query = query.where(Letter.account_id == account_id)
    if state is not None:
        query = query.where(Letter.state == state)
    return db.session.scalars(query.order_by(Letter.id.desc()).limit(limit)).all()


def retry(letter_id: int, *, by: Principal, now: datetime) -> Letter:
    """Try a letter again that was given up.

    Raises:
        ForbiddenError: ``by`` does not run the server.
        NotFoundError: there is none.
        ConflictError: it was not given up.
    """
    require(by, Permission.EDIT_MUNICIPALITY)
    found = db.session.get(Letter, letter_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFoundError(kind="letter", name=str(letter_id))
    if found.state is not LetterState.GIVEN_UP:
        raise ConflictError(kind="letter", name=str(letter_id), reason="not given up")
    found.state, found.attempts, found.due_at, found.ended_at = LetterState.WAITING, 0, now, None
    found.failing_since = None
    db.session.flush()
    return found
