"""Reports: which there are, each as a page with its curves, and as a file: at once where short, else in a while."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from flask import Response, current_app, redirect, request, stream_with_context, url_for
from werkzeug.wrappers import Response as AnyResponse

from fleet import clock
from fleet.access import Principal
from fleet.compliance.models import FindingKind
from fleet.config import Config
from fleet.db import transaction
from fleet.devices.models import Platform
from fleet.errors import NotFoundError
from fleet.reports import definitions, exports, files, parameters, schedules
from fleet.reports.definitions import Report
from fleet.reports.exports import TooManyExportsError
from fleet.reports.files import MEDIA_TYPES
from fleet.reports.models import Format, Rhythm
from fleet.reports.parameters import PERIODS, Parameters, looks_after_schools
from fleet.reports.sheet import Sheet
from fleet.schools import queries as schools
from fleet.web import languages, notices, report_papers, signed_in, words_reports
from fleet.web.blueprint import web
from fleet.web.pages import PAGE_SIZE, show
from fleet.web.texts import translated as _

_FORMATS = {one.value: one for one in Format}
_RHYTHMS = {one.value: one for one in Rhythm}


@web.get("/reports")
def reports() -> str:
    """Show which reports there are."""
    return show("reports", reports=definitions.offered(signed_in.by()))


@web.get("/reports/<name>")
def report(name: str) -> str:
    """Show a report: figures, curves, and the first rows of its table."""
    by, now = signed_in.by(), clock.now()
    found, given = _asked(name, by)
    sheet = definitions.build(name, given, by=by, now=now, timezone=signed_in.timezone())
    made = report_papers.paper(sheet, now=now, owner="")
    return show(
        "report",
        report=found,
        given=given,
        paper=made,
        rows=list(islice(made.rows, PAGE_SIZE)),
        formats=list(Format),
        choices=_choices(found, given, by),
        rhythms=list(Rhythm),
        is_long=_is_long(sheet),
        table_count=sheet.count,
    )


@web.get("/reports/<name>/file/<ending>")
def report_file(name: str, ending: str) -> AnyResponse:
    """Send a report as a file; one that is long is asked for instead, and made in a while."""
    by, now, form = signed_in.by(), clock.now(), _format(ending)
    _found, given = _asked(name, by)
    sheet = definitions.build(name, given, by=by, now=now, timezone=signed_in.timezone())
    file_name = report_papers.file_name(sheet, form)
    if form is not Format.CSV and _is_long(sheet):
        told: dict[str, Any] = given.told()
        return redirect(url_for("web.report", name=name, **told))
    signed_in.require_measure_of_files()
    if form is Format.CSV:
        lines = files.csv_text(report_papers.paper(sheet, now=now))
        return _sent(Response(stream_with_context(lines), mimetype="text/csv"), file_name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report"
        files.write(report_papers.paper(sheet, now=now), form, path)
        return _sent(Response(path.read_bytes(), mimetype=MEDIA_TYPES[form]), file_name)


@web.post("/reports/<name>/export")
def report_export(name: str) -> AnyResponse:
    """Ask for a long report as a file."""
    by, now, form = signed_in.by(), clock.now(), _format(request.form.get("format", ""))
    found = definitions.find(name, by=by)
    given = definitions.narrowed(found, parameters.read(request.form))
    sheet = definitions.build(name, given, by=by, now=now, timezone=signed_in.timezone())
    try:
        with transaction():
            exports.ask(
                name, given, form, language=languages.code(), rows=sheet.count,
                file_name=report_papers.file_name(sheet, form), by=by, now=now,
            )  # fmt: skip
    except TooManyExportsError as error:
        notices.warn(_too_many(error))
    else:
        notices.tell(_("The file is being made. You find it here when it is ready."))
    return redirect(url_for("web.report_exports"), 303)


@web.get("/reports/files")
def report_exports() -> str:
    """Show the files one has asked for, and how far they have come."""
    return show("report_exports", exports=exports.own(signed_in.by()), refresh_s=2)


@web.get("/reports/files/<int(max=2147483647):number>")
def report_export_file(number: int) -> AnyResponse:
    """Send a file that was made."""
    found = exports.ready(number, by=signed_in.by())
    config: Config = current_app.extensions["fleet_config"]
    path = exports.path(config.exports_dir, found.token)
    if not path.is_file():
        raise NotFoundError(kind="export", name=str(number))
    answer = Response(stream_with_context(_read(path)), mimetype=MEDIA_TYPES[found.format])
    return _sent(answer, found.file_name)


@web.post("/reports/files/<int(max=2147483647):number>/remove")
def report_export_remove(number: int) -> AnyResponse:
    """Take a file back."""
    with transaction():
        exports.remove(number, by=signed_in.by())
    return redirect(url_for("web.report_exports"), 303)


@web.get("/reports/mails")
def report_schedules() -> str:
    """Show which reports one gets by mail."""
    found = [(one, parameters.read(one.parameters)) for one in schedules.own(signed_in.by())]
    return show("report_schedules", schedules=found)


@web.post("/reports/<name>/mail")
def report_schedule(name: str) -> AnyResponse:
    """Have a report mailed to oneself."""
    by, form = signed_in.by(), _format(request.form.get("format", ""))
    rhythm = _RHYTHMS.get(request.form.get("rhythm", ""), Rhythm.MONTHLY)
    given = parameters.read(request.form)
    if given.period == "days":
        given = replace(given, period="month")
    with transaction():
        schedules.add(name, given, form, rhythm, by=by, now=clock.now(), timezone=signed_in.timezone())
    notices.tell(_("The report is mailed to you %(rhythm)s.", rhythm=words_reports.rhythm(rhythm)))
    return redirect(url_for("web.report_schedules"), 303)


@web.post("/reports/mails/<int(max=2147483647):number>/remove")
def report_schedule_remove(number: int) -> AnyResponse:
    """Have a report mailed no more."""
    with transaction():
        schedules.remove(number, by=signed_in.by(), now=clock.now())
    notices.tell(_("The report is not mailed any more."))
    return redirect(url_for("web.report_schedules"), 303)


def _asked(name: str, by: Principal) -> tuple[Report, Parameters]:
    found = definitions.find(name, by=by)
    return found, definitions.narrowed(found, parameters.read(request.args))


def _format(told: str) -> Format:
    if told not in _FORMATS:
        raise NotFoundError(kind="format", name=told, known=list(_FORMATS))
    return _FORMATS[told]


def _too_many(error: TooManyExportsError) -> str:
    if error.data["reason"] == "waiting":
        return _("You have %(number)s files under way already. Wait until one is ready.", number=error.data["most"])
    return _("You have %(number)s files here already. Remove one first.", number=error.data["most"])


def _is_long(sheet: Sheet) -> bool:
    return sheet.count > exports.LONG_ROWS


def _sent(answer: Response, file_name: str) -> Response:
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        while piece := file.read(65_536):
            yield piece


def _choices(found: Report, given: Parameters, by: Principal) -> dict[str, Sequence[tuple[str, str]]]:
    """Return what may be chosen, by parameter: pairs of value and words."""
    offered: dict[str, Sequence[tuple[str, str]]] = {}
    if "period" in found.takes:
        offered["period"] = [(one, words_reports.period(one)) for one in PERIODS]
    if "school" in found.takes and looks_after_schools(by):
        offered["school"] = [("", _("All schools"))] + [(str(key), name) for key, name in schools.visible(by).items()]
    if "class" in found.takes and (by.own_class_ids or given.school_id is not None or given.class_id is not None):
        titles = _classes(given, by)
        offered["class"] = ([("", _("All classes"))] if looks_after_schools(by) else []) + titles
    if "platform" in found.takes:
        named = [(one.value, words_reports.value("platform", one.value)) for one in Platform]
        offered["platform"] = [("", _("All kinds of tablets")), *named]
    if "kind" in found.takes:
        offered["kind"] = [("", _("All kinds"))] + [
            (one.value, words_reports.value("finding", one)) for one in FindingKind
        ]
    return offered


def _classes(given: Parameters, by: Principal) -> list[tuple[str, str]]:
    """Return the classes of the school that is chosen, or one's own."""
    if given.school_id is None and by.own_class_ids:
        return sorted(
            ((str(key), name) for key, name in schools.class_titles(by.own_class_ids).items()), key=lambda one: one[1]
        )
    if given.school_id is None:
        title = schools.class_titles({given.class_id}) if given.class_id is not None else {}
        return [(str(key), name) for key, name in title.items()]
    return [(str(one["id"]), one["title"]) for one in schools.classes(by, school_id=given.school_id)]
