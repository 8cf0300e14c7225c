"""Reports that are made beside the pages: long ones, asked for, fetched and gone after a day, and those for letters.

Invariants: only who asked sees and fetches a file, while that account may see what is in it; its rows are what the
account may see when it is made, not when it was asked for; one maker at a time has it, another takes it over when its
word is out (``claimed_until``), and the first one's word counts no more (``tries``).
Not here: words and writing (the application joins those), and the thread (:mod:`fleet.app.exporting`).
"""

import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, func, or_, select, update

from fleet.access import Principal
from fleet.db import carry_out, db, take_turn
from fleet.errors import ConflictError, ForbiddenError, NotFoundError
from fleet.people.models import Account
from fleet.reports import definitions
from fleet.reports.models import Export, ExportState, Format, ReportSchedule
from fleet.reports.parameters import Parameters

LONG_ROWS = 1_000  # more are not made while somebody waits for the page
KEEP = timedelta(days=1)
CLAIM = timedelta(seconds=60)
MOST_WAITING, MOST_KEPT = 5, 50  # of one account: under way, and in all until their day is over
_MOST_TRIES = 3
_UNDER_WAY = (ExportState.WAITING, ExportState.RUNNING)


class TooManyExportsError(ConflictError):
    """An account has as many files as it may. Data: ``most``, ``reason`` (``waiting``: under way; ``kept``: in all)."""

    code = "too-many-exports"


@dataclass(frozen=True, slots=True)
class Work:
    """A file that was claimed: its number, what is to be made, for whom, and what it is called on disk.

    ``tries`` is the how many-th try this is; what has a ``schedule_id`` goes into a letter.
    """

    id: int
    report: str
    parameters: dict[str, str]
    format: Format
    language: str
    account_id: int
    token: str
    tries: int
    schedule_id: int | None


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: how many rows and bytes, and what one has to be allowed to see to see it."""

    rows: int
    size_bytes: int
    reach: Sequence[str]


def ask(
    report: str, given: Parameters, form: Format, *, language: str, rows: int, file_name: str, by: Principal,
    now: datetime,
) -> Export:  # fmt: skip
    """Ask for a file.

    Args:
        report: its name.
        given: what it is asked about.
        form: as what.
        language: of its words.
        rows: how many there are, for the progress.
        file_name: what it will be called.
        by: who asks: an account.
        now: the instant.

    Raises:
        ForbiddenError: no account asks, or the report is not for it.
        NotFoundError: there is no such report.
        TooManyExportsError: others are under way still, or many are kept.
    """
    definitions.find(report, by=by)
    if by.account_id is None:
        raise ForbiddenError(permission="account")
    take_turn(f"exports-{by.account_id}")
    is_under_way = func.sum(case((Export.state.in_(_UNDER_WAY), 1), else_=0))
    own = select(func.count(), is_under_way).where(Export.account_id == by.account_id, Export.schedule_id.is_(None))
    kept, waiting = db.session.execute(own).one()
    for reason, number, most in (("waiting", waiting or 0, MOST_WAITING), ("kept", kept, MOST_KEPT)):
        if number >= most:
            raise TooManyExportsError(most=most, reason=reason)
    made = Export(
        account_id=by.account_id, report=report, parameters=dict(given.told()), format=form, language=language,
        of=rows, token=_token(), file_name=file_name, asked_at=now,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def ask_for_letter(one: ReportSchedule, *, language: str, now: datetime) -> None:
    """Have the file made that goes into a letter now, unless the last one is under way still.

    Args:
        one: which report, for whom.
        language: of its words.
        now: the instant.
    """
    waiting = select(Export.id).where(Export.schedule_id == one.id, Export.state.in_(_UNDER_WAY)).limit(1)
    if db.session.scalar(waiting) is None:
        made = Export(
            account_id=one.account_id, report=one.report, parameters=one.parameters, format=one.format,
            language=language, of=0, token=_token(), file_name="", schedule_id=one.id, asked_at=now,
        )  # fmt: skip
        db.session.add(made)
        db.session.flush()


def _token() -> str:
    return secrets.token_urlsafe(24)


def own(by: Principal) -> Sequence[Export]:
    """Return the files an account has asked for, newest first; one statement."""
    query = select(Export).where(Export.account_id == by.account_id, Export.schedule_id.is_(None))
    return db.session.scalars(query.order_by(Export.id.desc()).limit(50)).all()


def find(number: int, *, by: Principal) -> Export:
    """Return one of the account's files.

    Raises:
        NotFoundError: there is none of this number that is its own.
    """
    found = db.session.get(Export, number)
    if found is None or by.account_id is None or found.account_id != by.account_id:
        raise NotFoundError(kind="export", name=str(number))
    return found


def ready(number: int, *, by: Principal) -> Export:
    """Return one of the account's files, to fetch it.

    Raises:
        NotFoundError: there is none of this number, or the account may not see any more what is in it.
    """
    found = find(number, by=by)
    if found.reach is None or not by.reaches(found.reach):
        raise NotFoundError(kind="export", name=str(number))
    return found


def remove(number: int, *, by: Principal) -> None:
    """Take one's file back before its day is over; the file itself goes with the next tidying.

    Raises:
        NotFoundError: there is none of this number that is its own.
    """
    db.session.delete(find(number, by=by))


def is_due(*, now: datetime) -> bool:
    """Whether a file waits: who looks often need not write to find none. One statement."""
    return bool(db.session.scalar(select(Export.id).where(_is_free(now)).limit(1)))


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(
        Export.state == ExportState.WAITING,
        (Export.state == ExportState.RUNNING) & (Export.claimed_until < now),
    )


def claim(*, now: datetime) -> Work | None:
    """Take the file that waits longest, or whose maker's word is out; None where there is none. Three statements."""
    is_free = _is_free(now)
    _fail(is_free & (Export.tries >= _MOST_TRIES), now)
    query = select(Export).where(is_free).order_by(Export.id).limit(1).with_for_update(skip_locked=True)
    found = db.session.scalars(query).first()
    if found is None:
        return None
    found.state, found.claimed_until, found.done = ExportState.RUNNING, now + CLAIM, 0
    found.tries += 1
    db.session.flush()
    told = {name: str(value) for name, value in found.parameters.items()}
    return Work(
        found.id, found.report, told, found.format, found.language, found.account_id, found.token, found.tries,
        found.schedule_id,
    )  # fmt: skip


def account_of(work: Work) -> Account:
    """Return whose file it is."""
    return db.session.get_one(Account, work.account_id)


def tell(work: Work, done: int, *, now: datetime) -> bool:
    """Say how many rows are written, and that one is at it still; False where the file is wanted no more."""
    return carry_out(update(Export).where(_is_ours(work)).values(done=done, claimed_until=now + CLAIM)) == 1


def _is_ours(work: Work) -> ColumnElement[bool]:
    """Whether it is wanted still, and nobody has taken it over from us."""
    return and_(Export.id == work.id, Export.state == ExportState.RUNNING, Export.tries == work.tries)


def finish(work: Work, made: Made, *, now: datetime) -> bool:
    """Say that the file is there; False where it is wanted no more."""
    told: dict[str, Any] = {"state": ExportState.READY, "done": made.rows, "of": made.rows, "ended_at": now}
    told |= {"size_bytes": made.size_bytes, "reach": list(made.reach), "claimed_until": None}
    return carry_out(update(Export).where(_is_ours(work)).values(**told)) == 1


def finish_letter(work: Work, *, now: datetime) -> bool:
    """Say that the file goes into its letter in this transaction; False where it is wanted no more."""
    if carry_out(delete(Export).where(_is_ours(work))) != 1:
        return False
    told = update(ReportSchedule).where(ReportSchedule.id == work.schedule_id)
    return carry_out(told.values(last_at=now, failed_at=None)) == 1


def fail(work: Work, *, now: datetime) -> None:
    """Say that the file cannot be made."""
    _fail(_is_ours(work), now)


def _fail(which: ColumnElement[bool], now: datetime) -> None:
    """Give files up; who has ordered them by mail sees it beside the report."""
    giving_up = update(Export).where(which).values(state=ExportState.FAILED, ended_at=now, claimed_until=None)
    query = giving_up.returning(Export.schedule_id).execution_options(synchronize_session=False)
    schedules = {one for one in db.session.scalars(query) if one is not None}
    if schedules:
        carry_out(update(ReportSchedule).where(ReportSchedule.id.in_(schedules)).values(failed_at=now))


def path(folder: Path, token: str) -> Path:
    """Return where a file lies."""
    return folder / f"{token}.made"


def forget(folder: Path, *, now: datetime) -> int:
    """Remove what was asked for a day ago, and files that nobody knows any more; returns how many rows.

    What goes into a letter waits for who makes it, however long that takes.
    """
    is_over = or_(Export.schedule_id.is_(None), Export.ended_at.is_not(None))
    gone = carry_out(delete(Export).where(Export.asked_at < now - KEEP, is_over))
    known = {path(folder, token).name for token in db.session.scalars(select(Export.token))}
    if folder.is_dir():
        old = (now - KEEP).timestamp()
        for file in folder.iterdir():
            with suppress(FileNotFoundError):  # whoever made it was quicker
                is_done = file.name not in known and file.suffix == ".made"
                if is_done or file.stat().st_mtime < old:
                    shutil.rmtree(file) if file.is_dir() else file.unlink()
    return gone
