"""Every job on one page: its name, what it is for, when it is due and the function that does it.

Each function is a step: it is called inside a transaction with the instant and the configuration, calls use cases and
returns what they did in numbers by name. A step that only removes a bounded number at once is ``repeated``, each time
in a transaction of its own, until it finds nothing more. A second run of a job changes nothing.

Not here: leases, transactions and failures (:mod:`fleet.jobs.runner`).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta

from fleet import audit_seals, job_runs, orders, uploads
from fleet.access import Principal
from fleet.alerts import events as alert_events
from fleet.alerts import planning as alert_planning
from fleet.alerts.events import Ending
from fleet.apps import packages
from fleet.apps.files import PackageFiles
from fleet.assignments import memberships, schedules
from fleet.checkins import partitions
from fleet.compliance import habits, review, silence
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.devices import tickets
from fleet.errors import NotFoundError
from fleet.jobs import removing
from fleet.jobs.when import Daily, Every, When
from fleet.lessons import calibration, following
from fleet.lessons import timetable as lesson_timetable
from fleet.mdm import renewals
from fleet.reports import exports, figures, history
from fleet.reports import schedules as schedules_of_reports

Counts = Mapping[str, int]
Step = Callable[[datetime, Config], Counts]

_MEMBERSHIPS_LOOKED_BACK = timedelta(days=366)  # where the job has not run for long or ever


@dataclass(frozen=True, slots=True)
class Job:
    """One line of the timetable.

    Args:
        name: how people and the history of runs call it.
        what_for: what would be missing without it, in a few words.
        when: when it is due.
        step: does it.
        repeated: whether the step is called again, in a new transaction, until all its counts are zero.
    """

    name: str
    what_for: str
    when: When
    step: Step
    repeated: bool = False


def _silent_tablets(now: datetime, config: Config) -> Counts:
    return asdict(silence.review(now=now, timezone=config.timezone))


def _tablet_habits(now: datetime, config: Config) -> Counts:
    return {"tablets": habits.count(now=now, timezone=config.timezone)}


def _due_reviews(now: datetime, _config: Config) -> Counts:
    return asdict(review.review_due(now=now))


def _ended_assignments(now: datetime, _config: Config) -> Counts:
    return {"tablets": schedules.advance(now)}


def _membership_dates(now: datetime, _config: Config) -> Counts:
    since = job_runs.last_done("membership-dates") or now - _MEMBERSHIPS_LOOKED_BACK
    return {"tablets": memberships.follow_dates(since=since.date(), now=now)}


def _expiring_tickets(now: datetime, _config: Config) -> Counts:
    by = Principal.job("expiring-tickets")
    return {"expired": tickets.note_expired(by=by, now=now), "expiring": len(tickets.expiring(by=by, now=now))}


def _planned_lessons(now: datetime, config: Config) -> Counts:
    return {"lessons": lesson_timetable.begin_due(now=now, timezone=config.timezone)}


def _expired_orders(now: datetime, _config: Config) -> Counts:
    return {"orders": orders.expire(now)}


def _lesson_outcomes(now: datetime, _config: Config) -> Counts:
    return {"noted": following.note_arrivals(None, now=now), "counted": calibration.note_outcomes(now=now)}


def _day_figures(now: datetime, config: Config) -> Counts:
    schools = figures.record(now=now, timezone=config.timezone)
    return {"schools": schools, "rows": history.record(now=now, timezone=config.timezone)}


def _unused_files(now: datetime, config: Config) -> Counts:
    kept = PackageFiles(config.packages_dir)
    return {
        "files": uploads.forget(now=now),
        "packages": packages.forget(kept, now=now),
        "exports": exports.forget(config.exports_dir, now=now),
    }


def _alerts(now: datetime, config: Config) -> Counts:
    return asdict(alert_planning.plan(now=now, timezone=config.timezone))


def _endings(now: datetime, config: Config) -> Counts:
    vault = vault_key_of(config.secrets_dir, config.vault_key_file)
    kept = {kind: current() for kind, current in renewals.keepers(config.secrets_dir, vault).items()}
    found = [Ending(kind, one.expires_at, one.warning_step(now)) for kind, one in kept.items() if one is not None]
    return {"endings": alert_events.note_endings(found, now=now)}


def _report_mails(now: datetime, config: Config) -> Counts:
    return {"asked": schedules_of_reports.ask_due(now=now, timezone=config.timezone)}


def _check_in_days(now: datetime, _config: Config) -> Counts:
    return {"days": partitions.make_ahead(now=now)}


def _audit_seals(now: datetime, config: Config) -> Counts:
    return {"lines": audit_seals.seal(audit_seals.load_key(config.secrets_dir, may_create=True), now=now)}


def _retention(now: datetime, _config: Config) -> Counts:
    return removing.remove(now)


TIMETABLE = (
    Job("ended-assignments", "tablets move on when an assignment begins or ends", Every(1), _ended_assignments),
    Job("expired-orders", "orders that no tablet fetched in time are closed", Every(1), _expired_orders),
    Job("planned-lessons", "lessons that are planned begin on time", Every(1), _planned_lessons, repeated=True),
    Job(
        "lesson-outcomes",
        "who arrived and who is back is seen, and forecasts learn",
        Every(1),
        _lesson_outcomes,
        repeated=True,
    ),
    Job("due-reviews", "findings open when a grace is over", Every(5), _due_reviews, repeated=True),
    Job("silent-tablets", "tablets not heard from in school hours are found", Every(15), _silent_tablets),
    Job("alerts", "who is to hear of something is written to", Every(1), _alerts, repeated=True),
    Job("endings", "certificates and tokens that end are told of in time", Every(60), _endings),
    Job("tablet-habits", "what each tablet is used to is counted on school days", Every(30), _tablet_habits),
    Job("membership-dates", "pupils' tablets follow when a membership begins or ends", Every(60), _membership_dates),
    Job("expiring-tickets", "rights to enrol that end are noted", Every(60), _expiring_tickets),
    Job("unused-files", "files that were sent and not used are removed within the hour", Every(10), _unused_files),
    Job("day-figures", "today is counted, so that the last weeks can be seen", Every(60), _day_figures),
    Job("report-mails", "reports go out that somebody has asked for", Every(5), _report_mails, repeated=True),
    Job("check-in-days", "reports of the coming days have a place of their own", Every(60), _check_in_days),
    Job("audit-seals", "lines of the audit get a seal that shows changes", Every(1), _audit_seals, repeated=True),
    Job("retention", "what is no longer needed is removed", Daily(time(3, 30)), _retention, repeated=True),
)


def scheduled() -> tuple[job_runs.Scheduled, ...]:
    """Return the timetable for doors that may not know the jobs."""
    return tuple(
        job_runs.Scheduled(
            job.name,
            job.when.following,
            every_minutes=job.when.minutes if isinstance(job.when, Every) else None,
            daily_at=job.when.at if isinstance(job.when, Daily) else None,
        )
        for job in TIMETABLE
    )


def find(name: str, timetable: tuple[Job, ...] = TIMETABLE) -> Job:
    """Return the job of this name.

    Raises:
        NotFoundError: there is none; data has the names there are.
    """
    for job in timetable:
        if job.name == name:
            return job
    raise NotFoundError(kind="job", name=name, known=[job.name for job in timetable])
