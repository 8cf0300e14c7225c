"""Mails the reports that are due: makes each file in its account's language and hands it to the letters.

Reports and letters are areas beside each other; this job joins them, in one transaction, so that nothing is sent twice.
"""

import tempfile
from datetime import datetime
from pathlib import Path

import structlog
from flask import current_app

from fleet.alerts import letters
from fleet.alerts.letters import MAX_FILE_BYTES
from fleet.config import Config
from fleet.errors import ForbiddenError, InvalidError, NotFoundError
from fleet.people import accounts
from fleet.reports import definitions, schedules
from fleet.reports.files import MEDIA_TYPES
from fleet.reports.schedules import Due
from fleet.reports.writing import EXTENSION, Wish, Writer

_LANGUAGE = "nb"  # of an account that has chosen none
_log = structlog.get_logger("reports")


def send_due(now: datetime, config: Config) -> dict[str, int]:
    """Queue a letter for each report that is due; returns how many went out and how many could not."""
    sent = failed = 0
    for one in schedules.due(now=now):
        try:
            is_wanted = _queue(one, now, config)
        except (ForbiddenError, NotFoundError, InvalidError) as error:  # no right to it any more, or too large
            _log.warning("report not mailed", report=one.schedule.report, kind=error.code)
            schedules.sent(one.schedule, now=now, timezone=config.timezone, has_failed=True)
            failed += 1
        else:
            schedules.sent(one.schedule, now=now, timezone=config.timezone)
            sent += is_wanted
    return {"sent": sent, "failed": failed}


def _queue(due: Due, now: datetime, config: Config) -> bool:
    """Make the file and hand it over; whether its account wants reports by mail at all."""
    today = now.astimezone(config.timezone).date()
    by, report = accounts.principal(due.account, today=today), due.schedule.report
    sheet = definitions.build(report, due.given, by=by, now=now, timezone=config.timezone)
    write: Writer = current_app.extensions[EXTENSION]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report"
        language = due.account.language or _LANGUAGE
        name = write(Wish(sheet, due.schedule.format, language, path, now))
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidError(kind="report", reason="size", expected=f"at most {MAX_FILE_BYTES} bytes")
        content = path.read_bytes()
    made = letters.queue_report(
        due.account.id, f"report.{report}", name, MEDIA_TYPES[due.schedule.format], content, now=now
    )
    return made is not None
