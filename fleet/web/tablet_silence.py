"""One tablet's silence: what is known of it in words, who was asked, and the question itself where it waits."""

from fleet import clock
from fleet.access import Permission
from fleet.compliance import explaining
from fleet.devices import queries as devices
from fleet.web import signed_in, tablet
from fleet.web.blueprint import web
from fleet.web.pages import show

_REFRESH_S = 30


@web.get("/tablets/<serial>/silence")
def tablet_silence(serial: str) -> str:
    """Show why a tablet counts, or does not count, as silent."""
    by, now = signed_in.by(), clock.now()
    device = devices.find_device(serial, by=by)
    told = explaining.explain(device, by=by, now=now, timezone=signed_in.timezone())
    is_asked = told is not None and told.question is not None and told.question.is_open
    class_id = told.class_id if told is not None else None
    return show(
        "tablet_silence",
        **tablet.head(device),
        told=told,
        may_answer=is_asked and by.may(Permission.ENTER_ABSENCE, school_id=device.school_id, class_id=class_id),
        refresh_s=_REFRESH_S,
    )
