"""For IT: what was forecast when lessons began, against what came."""

from datetime import timedelta

from flask import request
from werkzeug.exceptions import Forbidden

from fleet import clock
from fleet.access import Permission
from fleet.lessons import calibration
from fleet.lessons.forecast import FORECAST_S
from fleet.schools import queries as schools
from fleet.web import signed_in
from fleet.web.blueprint import web
from fleet.web.pages import show
from fleet.web.values import whole

_DAYS = 28


@web.get("/lessons/calibration")
def lesson_calibration() -> str:
    """Show forecasts against what came, of a school or of all that one may see."""
    by, now = signed_in.by(), clock.now()
    known = schools.visible(by)
    if not known:
        raise Forbidden
    sees_all = by.school_ids(Permission.SEE_SCHOOL) is None
    school_id = whole(request.args.get("school_id"))
    if school_id not in known:
        school_id = None if sees_all else next(iter(known))
    found = calibration.calibration(school_id=school_id, since=now - timedelta(days=_DAYS), by=by)
    return show(
        "lesson_calibration",
        schools=known,
        school_id=school_id,
        sees_all=sees_all,
        bands=[one for one in found if one.is_band],
        kinds=[one for one in found if not one.is_band],
        days=_DAYS,
        forecast_s=FORECAST_S,
    )
