"""Which job ran when, and who may run jobs now.

Invariants: each (job, slot) runs at most once, however many servers there are; only the holder of the newest epoch may
finish what it started, so a runner that slept through the loss of its lease changes nothing when it wakes: whoever
works calls :func:`finish` or :func:`hold_epoch` last in the transaction that does the work, and a refusal takes the
work back with it. A run that a person asked for has the epoch :data:`BY_HAND` and needs no lease.

A door beside the jobs cannot run one: it asks (:func:`ask`), and the runner that has the lease looks every few seconds
who waits. So a job's work never holds up a page, and runs in one place however many servers there are.

Not here: which jobs there are and when (:mod:`fleet.jobs.timetable`), and what runs them (:mod:`fleet.jobs.runner`).
"""

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Index, String, UniqueConstraint, and_, case, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Mapped, mapped_column

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.checkup.checks import Check, fault, ok, warning
from fleet.db import Base, carry_out, db, take_turn, text_enum
from fleet.errors import ConflictError

BY_HAND = 0  # the lease's epochs begin at 1
_TIMETABLE = "timetable"
_BY_HAND_LIFE = timedelta(days=1)  # a run by hand that has not begun or ended by then never will
_MAX_ERROR = 200
CLOCKS_APART = timedelta(minutes=10)  # more than the clocks of two servers ever are
_LATE = timedelta(minutes=10)  # a job after its time, or one still at work: some take minutes, none as long


class StaleEpochError(ConflictError):
    """The lease has gone to another runner, or the run was closed. Data: ``epoch``."""

    code = "stale-epoch"


class JobOutcome(enum.StrEnum):
    """How a run ended, or that it has not."""

    ASKED = "asked"  # somebody wants it; the runner has not begun
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"  # its runner died or lost the lease


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A line of the timetable, as doors see it that may not know the jobs.

    Args:
        name: of the job.
        following: gives the first slot after an instant.
        every_minutes: how often it is due; None where once a day.
        daily_at: at which local time; None where more often.
    """

    name: str
    following: Callable[[datetime, ZoneInfo], datetime]
    every_minutes: int | None = None
    daily_at: time | None = None


class JobLease(Base):
    """Who runs the timetable now: one row, named ``timetable``. ``epoch`` rises whenever the holder changes."""

    __tablename__ = "job_lease"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    epoch: Mapped[int]
    expires_at: Mapped[datetime]


class JobRun(Base):
    """One run of a job. ``slot`` is the instant it was due; a run that a person asked for has its start there."""

    __tablename__ = "job_run"
    __table_args__ = (UniqueConstraint("job", "slot"), Index("ix_job_run_started_at", "started_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(String(64))
    slot: Mapped[datetime]
    epoch: Mapped[int]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[JobOutcome] = mapped_column(text_enum(JobOutcome))
    counts: Mapped[dict[str, Any]]  # what it did, in numbers by name
    error: Mapped[str | None] = mapped_column(String(200))  # the kind of error, never data of a tablet or pupil


def _upsert(model: Any) -> Any:
    insert: Any = postgresql_insert if db.session.get_bind().dialect.name == "postgresql" else sqlite_insert
    return insert(model)


def take_lease(holder: str, *, now: datetime, life: timedelta) -> int | None:
    """Take or renew the lease; returns its epoch, None while another holds it. One conditional write.

    One that holds for longer than any is taken for is of a clock that has been set back since: it is nobody's.

    Args:
        holder: names the runner, one of its own for each process that ever runs.
        now: the instant.
        life: for how long; renewing keeps the epoch, taking over raises it.
    """
    write = _upsert(JobLease).values(name=_TIMETABLE, holder=holder, epoch=1, expires_at=now + life)
    is_own = JobLease.holder == holder
    write = write.on_conflict_do_update(
        index_elements=["name"],
        set_={
            "holder": holder,
            "epoch": case((is_own, JobLease.epoch), else_=JobLease.epoch + 1),
            "expires_at": now + life,
        },
        where=or_(is_own, JobLease.expires_at <= now, JobLease.expires_at > now + life + CLOCKS_APART),
    ).returning(JobLease.epoch)
    found: int | None = db.session.execute(write).scalar()
    return found


def release_lease(holder: str, *, now: datetime) -> bool:
    """Let the next one take the lease at once; False where it is another's already."""
    query = update(JobLease).where(JobLease.name == _TIMETABLE, JobLease.holder == holder).values(expires_at=now)
    return bool(carry_out(query))


def limit_idle(limit: timedelta) -> None:
    """Have the running transaction end by itself where its process is silent for so long.

    A suspended runner would otherwise keep the lease's row, and whatever it had locked, from all others. PostgreSQL
    only: a file of SQLite is used by one process.
    Source: https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-IDLE-IN-TRANSACTION-SESSION-TIMEOUT
    """
    if db.session.get_bind().dialect.name == "postgresql":
        told = {"limit": f"{int(limit.total_seconds() * 1000)}ms"}
        db.session.execute(text("SELECT set_config('idle_in_transaction_session_timeout', :limit, true)"), told)


def take_job_turn(job: str) -> None:
    """Wait until no other run of the job is at work, and keep the turn until the running transaction ends."""
    take_turn(f"job:{job}")


def hold_epoch(epoch: int) -> None:
    """Refuse unless ``epoch`` is the lease's, and keep others from taking it until the running transaction ends.

    Raises:
        StaleEpochError: another has taken the lease over.
    """
    if epoch == BY_HAND:
        return
    # Shared, so that two jobs of one runner do not wait for each other; a takeover's write waits for both.
    query = select(JobLease.epoch).where(JobLease.name == _TIMETABLE).with_for_update(read=True)
    if db.session.scalar(query) != epoch:
        raise StaleEpochError(epoch=epoch)


def claim(
    job: str, slot: datetime, *, epoch: int, now: datetime, outcome: JobOutcome = JobOutcome.RUNNING
) -> int | None:
    """Claim one slot of a job; returns the run's id, None where somebody has it.

    Args:
        job: its name.
        slot: the instant it was due.
        epoch: of the lease that the runner holds, or :data:`BY_HAND`.
        now: the instant.
        outcome: how it stands.

    Raises:
        StaleEpochError: another has taken the lease over.
    """
    hold_epoch(epoch)
    write = _upsert(JobRun).values(job=job, slot=slot, epoch=epoch, started_at=now, outcome=outcome, counts={})
    write = write.on_conflict_do_nothing(index_elements=["job", "slot"]).returning(JobRun.id)
    found: int | None = db.session.execute(write).scalar()
    return found


def claim_by_hand(job: str, *, now: datetime, outcome: JobOutcome = JobOutcome.RUNNING) -> int:
    """Make a run that a person asked for; returns its id."""
    slot = now
    while (run_id := claim(job, slot, epoch=BY_HAND, now=now, outcome=outcome)) is None:
        slot += timedelta(microseconds=1)  # the very instant is taken: the next one is as good
    return run_id


def ask(job: str, *, by: Principal, now: datetime) -> int:
    """Have a job run soon; returns the run that will. Whoever asks again while it waits asks for the same one.

    Args:
        job: a name of the timetable.
        by: who wants it.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not run jobs.
    """
    require(by, Permission.RUN_JOBS)
    take_turn(f"ask:{job}")
    waiting = next((run_id for run_id, name in asked(now=now) if name == job), None)
    if waiting is not None:
        return waiting
    run_id = claim_by_hand(job, now=now, outcome=JobOutcome.ASKED)
    audit.record(by, "jobs.run-by-hand", subject=f"job-run:{run_id}", now=now, job=job)
    return run_id


def asked(*, now: datetime) -> Sequence[tuple[int, str]]:
    """Return the runs that wait for the runner, and their jobs, the oldest first; one statement."""
    query = select(JobRun.id, JobRun.job).where(
        JobRun.outcome == JobOutcome.ASKED, JobRun.started_at > now - _BY_HAND_LIFE
    )
    return [(row.id, row.job) for row in db.session.execute(query.order_by(JobRun.id))]


def begin(run_id: int, *, now: datetime) -> bool:
    """Begin a run that waits; False where another has begun it or given it up."""
    query = update(JobRun).where(JobRun.id == run_id, JobRun.outcome == JobOutcome.ASKED)
    begun = query.values(outcome=JobOutcome.RUNNING, started_at=now)
    return bool(carry_out(begun))


def finish(
    run_id: int, *, epoch: int, outcome: JobOutcome, counts: Mapping[str, int], error: str | None = None, now: datetime
) -> None:
    """Note how a run ended. Called last in the transaction that did the work, so that both stand or fall together.

    Args:
        run_id: the run.
        epoch: under which it was claimed.
        outcome: how it ended.
        counts: what it did, in numbers by name.
        error: the kind of error, never its data.
        now: the instant.

    Raises:
        StaleEpochError: another has taken the lease over, or the run was closed before.
    """
    hold_epoch(epoch)
    query = (
        update(JobRun)
        .where(JobRun.id == run_id, JobRun.epoch == epoch, JobRun.outcome == JobOutcome.RUNNING)
        .values(outcome=outcome, counts=dict(counts), error=error[:_MAX_ERROR] if error else None, ended_at=now)
        .execution_options(synchronize_session=False)
    )
    if not db.session.execute(query).rowcount:  # type: ignore[attr-defined]
        raise StaleEpochError(epoch=epoch)


def mark_lost(*, now: datetime) -> int:
    """Close the runs that runners of an older epoch left running, and runs by hand given up; returns how many."""
    newest = select(JobLease.epoch).where(JobLease.name == _TIMETABLE).scalar_subquery()
    given_up = or_(
        and_(JobRun.epoch != BY_HAND, JobRun.epoch < newest),
        and_(JobRun.epoch == BY_HAND, JobRun.started_at <= now - _BY_HAND_LIFE),
    )
    query = (
        update(JobRun)
        .where(JobRun.outcome.in_([JobOutcome.RUNNING, JobOutcome.ASKED]), given_up)
        .values(outcome=JobOutcome.LOST, ended_at=now)
    )
    return carry_out(query)


def forget_to_come(*, now: datetime) -> int:
    """Remove runs that were due, and ended, later than ``now``: the clock has been set back; returns how many.

    Else their jobs would rest until it shows again what it showed: their slots are taken.
    """
    ended = JobRun.outcome.not_in([JobOutcome.RUNNING, JobOutcome.ASKED])
    return carry_out(delete(JobRun).where(JobRun.started_at > now, JobRun.slot > now, ended))  # the first has an index


def latest_by_job(names: Collection[str]) -> dict[str, JobRun]:
    """Return the newest run of each of these jobs that has one, by its name; one statement.

    Each is looked up by its index: a month's runs are too many to go through for a page.
    """
    newest = [
        select(JobRun.id).where(JobRun.job == name).order_by(JobRun.slot.desc()).limit(1).scalar_subquery()
        for name in names
    ]
    return {run.job: run for run in db.session.scalars(select(JobRun).where(JobRun.id.in_(newest)))}


def last_successes(names: Collection[str]) -> dict[str, tuple[datetime, datetime]]:
    """Return of each of these jobs that ever went well when that was due and when it ended; one statement."""
    newest = [
        select(JobRun.id)
        .where(JobRun.job == name, JobRun.outcome == JobOutcome.DONE)
        .order_by(JobRun.slot.desc())
        .limit(1)
        .scalar_subquery()
        for name in names
    ]
    query = select(JobRun.job, JobRun.slot, JobRun.ended_at).where(JobRun.id.in_(newest))
    return {job: (slot, ended_at) for job, slot, ended_at in db.session.execute(query) if ended_at is not None}


def last_done(job: str) -> datetime | None:
    """Return when the newest run of a job that went well began, None where none did."""
    query = select(func.max(JobRun.started_at)).where(JobRun.job == job, JobRun.outcome == JobOutcome.DONE)
    return db.session.scalar(query)


def runs(
    job: str | None = None,
    *,
    limit: int = 50,
    before: int | None = None,
    outcomes: Collection[JobOutcome] | None = None,
) -> Sequence[JobRun]:
    """Return the newest runs first.

    Args:
        job: only this one's.
        limit: at most so many.
        before: only those older than the run of this id.
        outcomes: only those that ended so.
    """
    query = select(JobRun).order_by(JobRun.id.desc()).limit(limit)
    if job is not None:
        query = query.where(JobRun.job == job)
    if before is not None:
        query = query.where(JobRun.id < before)
    if outcomes is not None:
        query = query.where(JobRun.outcome.in_(outcomes))
    return db.session.scalars(query).all()


def newest_start() -> datetime | None:
    """Return when the newest run of any job began, None where none has."""
    return db.session.scalar(select(func.max(JobRun.started_at)))


def examine(timetable: Sequence[Scheduled], *, now: datetime, timezone: ZoneInfo) -> list[Check]:
    """Return whether somebody runs the jobs, and whether each ran in time and well; two statements.

    Args:
        timetable: the jobs there are.
        now: the instant.
        timezone: the schools'.
    """
    lease = db.session.get(JobLease, _TIMETABLE, populate_existing=True)
    if lease is None:
        advice = "start a server with FLEET_JOBS=on; one is enough, of several one at a time runs them"
        return [warning("jobs-runner", "no server has run jobs yet", advice)]
    holder = lease.holder.rpartition(":")[0]  # what follows is only there to be one of its own
    if lease.expires_at <= now:
        told = f"nobody since {lease.expires_at:%Y-%m-%d %H:%M:%S} UTC, {holder} was the last"
        return [fault("jobs-runner", told, "start a server with FLEET_JOBS=on, and look at its log if one runs")]
    return [ok("jobs-runner", holder), _how_they_went(timetable, now, timezone)]


def _how_they_went(timetable: Sequence[Scheduled], now: datetime, timezone: ZoneInfo) -> Check:
    last = latest_by_job([one.name for one in timetable])
    late, bad = [], []
    for one in timetable:
        run = last.get(one.name)
        if run is None or one.following(run.slot, timezone) + _LATE < now:
            late.append(f"{one.name} late")
        elif run.outcome in {JobOutcome.RUNNING, JobOutcome.ASKED} and run.started_at + _LATE < now:
            late.append(f"{one.name} still {run.outcome.value}")
        elif run.outcome in {JobOutcome.FAILED, JobOutcome.LOST}:
            bad.append(f"{one.name} {run.outcome.value}" + (f" ({run.error})" if run.error else ""))
    if late or bad:
        advice = "scripts/fleet jobs history shows the last runs, scripts/fleet jobs run-now NAME tries one again"
        return fault("jobs", ", ".join([*bad, *late]), advice)
    return ok("jobs", f"{len(timetable)} jobs ran in time and well")


def forget(*, older_than: timedelta, now: datetime, at_most: int = 5_000) -> int:
    """Remove runs that began longer ago than that, at most so many at once; returns how many."""
    old = select(JobRun.id).where(JobRun.started_at < now - older_than, JobRun.outcome != JobOutcome.RUNNING)
    query = delete(JobRun).where(JobRun.id.in_(old.limit(at_most)))
    return carry_out(query)
