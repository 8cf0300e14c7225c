"""One pupil in a lesson: how the tablet stands, what the lesson locks on it, and what one can do.

A page of its own; the script shows its part in a sheet over the lesson.
"""

from collections.abc import Mapping
from typing import Any

from flask import request, url_for

from fleet import clock
from fleet.access import Permission
from fleet.errors import NotFoundError
from fleet.lessons import promises, sets, views
from fleet.lessons.views import Stage
from fleet.orders import MAX_TEXT
from fleet.web import signed_in, words_lessons
from fleet.web.blueprint import web
from fleet.web.lesson import INSIDE, OUTSIDE, can_be_told, tiles_of
from fleet.web.pages import show
from profiles.key import Key
from profiles.vocabulary import VOCABULARY


@web.get("/lessons/<int(max=2147483647):lesson_id>/tablets/<int(max=2147483647):device_id>")
def lesson_tablet(lesson_id: int, device_id: int) -> str:
    """Show a pupil's tablet in a lesson.

    Raises:
        NotFoundError: there is no such lesson or tablet in it, or not for whoever asks.
    """
    by, now = signed_in.by(), clock.now()
    found = views.view(lesson_id, by=by, now=now)
    tile = next((one for one in tiles_of(found.rows, now=now) if one.row.device_id == device_id), None)
    if tile is None:
        raise NotFoundError(kind="tablet in the lesson", name=str(device_id))
    is_in = found.stage is Stage.RUNNING and tile.row.state in INSIDE
    at = found.lesson.school_class
    settings = sets.content(found.lesson.given[-1].set).settings if is_in else {}
    channel = tile.row.channel
    return show(
        "lesson_tablet",
        lesson=found.lesson,
        view=found,
        tile=tile,
        given=found.lesson.given[-1].set,
        locked=_locked(settings),
        lacking=words_lessons.lacking(promises.less(settings, channel) if channel is not None else None),
        failed={one["key"] for one in tile.row.failures},
        inside=INSIDE,
        outside=OUTSIDE,
        may_see_tablet=by.may(Permission.SEE_SCHOOL, school_id=at.school_id, class_id=at.id),
        can_be_told=can_be_told(tile.row),
        max_text=MAX_TEXT,
        is_whole=not signed_in.is_refresh(),
        own_address=url_for("web.lesson_tablet", **(request.view_args or {})),
    )


def _locked(settings: Mapping[str, Any]) -> list[tuple[Key, Any]]:
    """Return what a set puts into force, setting by setting."""
    return [(VOCABULARY[name], value) for name, value in settings.items() if name in VOCABULARY]
