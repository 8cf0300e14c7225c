"""Long reports that are made beside the pages: asked for, made by one who claims them, fetched, and gone after a day.

Invariants: only who asked sees and fetches a file; its rows are what that account may see when it is made, not when it
was asked for; one maker at a time has it, and another takes it over when its word is out (``claimed_until``).
Not here: words and writing (the application joins those), and the thread (:mod:`fleet.app.exporting`).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, case, delete, func, or_, select, update

from fleet.access import Principal
from fleet.db import carry_out, db, take_turn
from fleet.errors import ConflictError, ForbiddenError, NotFoundError
from fleet.people.models import Account
from fleet.reports import definitions
from fleet.reports.models import Export, ExportState, Format
from fleet.reports.parameters import Parameters

LONG_ROWS = 1_000  # more are not made while somebody waits for the page
KEEP = timedelta(days=1)
CLAIM = timedelta(seconds=60)
MOST_WAITING, MOST_KEPT = 5, 50  # of one account: under way, and in all until their day is over
_MOST_TRIES = 3


class TooManyExportsError(ConflictError):
    """An account has as many files as it may. Data: ``most``, ``reason`` (``waiting``: under way; ``kept``: in all)."""

    code = "too-many-exports"


@dataclass(frozen=True, slots=True)
class Work:
    """A file that was claimed: its number, what is to be made, for whom, and what the file is called on disk."""

    id: int
    report: str
    parameters: dict[str, str]
    format: Format
    language: str
    account_id: int
    token: str


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
    is_under_way = func.sum(case((Export.state.in_((ExportState.WAITING, ExportState.RUNNING)), 1), else_=0))
    query = select(func.count(), is_under_way).where(Export.account_id == by.account_id)
    kept, waiting = db.session.execute(query).one()
    for reason, number, most in (("waiting", waiting or 0, MOST_WAITING), ("kept", kept, MOST_KEPT)):
        if number >= most:
            raise TooManyExportsError(most=most, reason=reason)
    made = Export(
        account_id=by.account_id, report=report, parameters=dict(given.told()), format=form, language=language,
        of=rows, token=secrets.token_urlsafe(24), file_name=file_name, asked_at=now,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def own(by: Principal) -> Sequence[Export]:
    """Return the files an account has asked for, newest first; one statement."""
    query = select(Export).where(Export.account_id == by.account_id).order_by(Export.id.desc()).limit(50)
    return db.session.scalars(query).all()


def find(number: int, *, by: Principal) -> Export:
    """Return one of the account's files.

    Raises:
        NotFoundError: there is none of this number that is its own.
    """
    found = db.session.get(Export, number)
    if found is None or by.account_id is None or found.account_id != by.account_id:
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
    given_up = update(Export).where(is_free, Export.tries >= _MOST_TRIES)
    carry_out(given_up.values(state=ExportState.FAILED, ended_at=now, claimed_until=None))
    query = select(Export).where(is_free).order_by(Export.id).limit(1).with_for_update(skip_locked=True)
    found = db.session.scalars(query).first()
    if found is None:
        return None
    found.state, found.claimed_until, found.done = ExportState.RUNNING, now + CLAIM, 0
    found.tries += 1
    db.session.flush()
    told = {name: str(value) for name, value in found.parameters.items()}
    return Work(found.id, found.report, told, found.format, found.language, found.account_id, found.token)


def account_of(work: Work) -> Account:
    """Return whose file it is."""
    return db.session.get_one(Account, work.account_id)


def tell(work: Work, done: int, *, now: datetime) -> bool:
    """Say how many rows are written, and that one is at it still; False where the file is wanted no more."""
    mine = update(Export).where(Export.id == work.id, Export.state == ExportState.RUNNING)
    return carry_out(mine.values(done=done, claimed_until=now + CLAIM)) == 1


def finish(work: Work, *, rows: int, size_bytes: int, now: datetime) -> bool:
    """Say that the file is there; False where it is wanted no more."""
    mine = update(Export).where(Export.id == work.id, Export.state == ExportState.RUNNING)
    told = {"state": ExportState.READY, "done": rows, "of": rows, "size_bytes": size_bytes, "ended_at": now}
    return carry_out(mine.values(**told, claimed_until=None)) == 1


def fail(work: Work, *, now: datetime) -> None:
    """Say that the file cannot be made."""
    mine = update(Export).where(Export.id == work.id, Export.state == ExportState.RUNNING)
    carry_out(mine.values(state=ExportState.FAILED, ended_at=now, claimed_until=None))


def path(folder: Path, token: str) -> Path:
    """Return where a file lies."""
    return folder / f"{token}.made"


def forget(folder: Path, *, now: datetime) -> int:
    """Remove what was asked for a day ago, and files that nobody knows any more; returns how many rows."""
    gone = carry_out(delete(Export).where(Export.asked_at < now - KEEP))
    known = {f"{token}.made" for token in db.session.scalars(select(Export.token))}
    if folder.is_dir():
        old = (now - KEEP).timestamp()
        for file in folder.iterdir():
            is_done = file.name not in known and file.suffix == ".made"
            if is_done or file.stat().st_mtime < old:
                file.unlink(missing_ok=True)
    return gone
