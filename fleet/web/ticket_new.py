"""A new ticket in three steps: where, how many and how long and for whom, and the code on the screen.

Where is chosen by links, so that going back is the browser's own. The code is not kept: the last page shows it, prints
it, and has the tablets appear beneath it.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from flask import current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from fleet import clock
from fleet.access import Permission, Principal
from fleet.config import Config
from fleet.db import transaction
from fleet.devices import arrivals, codes, sheet, tickets
from fleet.devices import queries as devices
from fleet.devices.tickets import MadeAlreadyError, Place
from fleet.errors import FleetError, ForbiddenError, InvalidError, NotFoundError
from fleet.schools import queries as schools
from fleet.schools.models import SchoolClass
from fleet.web import notices, refusals_enrolment, sent, signed_in, ticket_android, words_enrolment
from fleet.web.blueprint import web
from fleet.web.texts import translated as _
from fleet.web.ticket import standing
from fleet.web.values import whole

_DAYS = ("1", "7", "30")
_MAX_TYPED = 200


@dataclass(frozen=True, slots=True)
class Typed:
    """The form's fields as typed."""

    number: str = ""
    days: str = "7"
    until: str = ""
    who: str = "ask"
    cart: str = ""

    @staticmethod
    def told() -> "Typed":
        """Return what the running request's form says."""
        form = request.form
        return Typed(
            **{name: form.get(name, "")[:_MAX_TYPED].strip() for name in ("number", "days", "until", "who", "cart")}
        )

    def expires_at(self, now: datetime) -> datetime:
        """Return until when: the end of the local day that was chosen, or so many days from now.

        Raises:
            InvalidError: it makes no sense.
        """
        if self.days in _DAYS:
            return now + timedelta(days=int(self.days))
        try:
            on = datetime.fromisoformat(self.until).date()
            # The day that is named is a day on which the ticket is good.
            return datetime.combine(on + timedelta(days=1), time(), signed_in.timezone())
        except (ValueError, OverflowError):
            raise InvalidError(kind="ticket", reason="expiry") from None


@web.get("/enrolment/new")
def ticket_new() -> str | tuple[str, int]:
    """Ask where; then how many, how long and for whom."""
    by = signed_in.by()
    known = _schools(by)
    school_id = whole(request.args.get("school_id"))
    if school_id is None and len(known) == 1:
        school_id = next(iter(known))
    if school_id is None:
        expected = devices.figures(by=by, now=clock.now())
        return render_template("ticket_where.html", schools=known, school=None, expected=expected)
    school = schools.visible_school(school_id, by=by)
    if not by.may(Permission.MANAGE_TICKETS, school_id=school.id):
        raise NotFoundError(kind="school", name=str(school_id))
    place = _place(request.args.get("in", ""), school_id, by)
    if place is not None:
        return _form(place, Typed(number=str(tickets.expected_at(place, by=by) or "")), {})
    by_class = devices.figures(by=by, now=clock.now(), group="class", school_id=school.id)
    return render_template(
        "ticket_where.html",
        schools=known,
        school=school,
        classes=schools.classes(by, school_id=school.id),
        carts={name: (words_enrolment.cart(name), count) for name, count in arrivals.carts(school.id).items()},
        expected=by_class,
    )


@web.post("/enrolment/new")
def ticket_create() -> Response | str | tuple[str, int]:
    """Make the ticket and show its code, this once."""
    by, now, typed = signed_in.by(), clock.now(), Typed.told()
    _schools(by)
    school_id = whole(request.args.get("school_id")) or 0
    place = _place(request.args.get("in", ""), school_id, by)
    if place is None:
        raise NotFoundError(kind="school", name=str(school_id))
    try:
        if place.cart == "" and not typed.cart:
            raise InvalidError(kind="cart")
        with transaction():
            made, code = tickets.create(
                Place(place.school, cart=typed.cart) if place.cart == "" else place,
                expires_at=typed.expires_at(now),
                max_enrolments=whole(typed.number) or 0,
                listed_only=typed.who == "listed",
                asks=typed.who == "ask",
                request_id=sent.request_id(),
                by=by,
                now=now,
            )
            ticket_id = made.id
    except MadeAlreadyError as error:
        return made_already(error)
    except FleetError as error:
        faults = refusals_enrolment.told(error)
        if faults is None:
            raise
        return _form(place, typed, faults), 400
    return ready(ticket_id, code, by)


def made_already(error: MadeAlreadyError) -> Response:
    """Lead whoever sends a form again to the ticket it made the first time, whose code nobody can show any more."""
    notices.warn(
        _("This ticket is made already, and its code was shown then, once. If you do not have it, make a new ticket.")
    )
    return redirect(url_for("web.ticket", ticket_id=error.data["ticket_id"]), 303)


def _schools(by: Principal) -> dict[int, str]:
    """Return the schools where ``by`` may make tickets.

    Raises:
        ForbiddenError: there are none.
    """
    among = by.school_ids(Permission.MANAGE_TICKETS)
    if among == frozenset():
        raise ForbiddenError(permission=Permission.MANAGE_TICKETS.value)
    return {number: name for number, name in schools.visible(by).items() if among is None or number in among}


def _place(told: str, school_id: int, by: Principal) -> Place | None:
    """Return where a ticket is for: ``school``, ``class-8``, ``cart-Vogn 1``, or ``cart-`` for a new one."""
    school = schools.visible_school(school_id, by=by)
    kind, _between, name = told.partition("-")
    if kind == "school":
        return Place(school)
    if kind == "cart":
        return Place(school, cart=name[: tickets.MAX_CART])
    found = _class(whole(name), school_id, by) if kind == "class" else None
    return Place(school, found) if found is not None else None


def _class(class_id: int | None, school_id: int, by: Principal) -> SchoolClass | None:
    found = schools.taught_class(class_id, by=by) if class_id is not None else None
    return found if found is not None and found.school_id == school_id else None


def _form(place: Place, typed: Typed, faults: dict[str, str]) -> str:
    where = place.school_class.title if place.school_class is not None else place.cart
    return render_template(
        "ticket_new.html",
        place=place,
        where=where or _("The whole school"),
        expected=tickets.expected_at(place, by=signed_in.by()) if place.cart != "" else 0,
        typed=typed,
        request_id=sent.request_id() or sent.new_request_id(),
        faults=faults,
        most=tickets.MAX_ENROLMENTS,
        has_schools=len(_schools(signed_in.by())) > 1,
        today=clock.now().astimezone(signed_in.timezone()).date(),
    )


def ready(ticket_id: int, code: str, by: Principal, *, is_first_run: bool = False) -> str:
    """Show a ticket that was just made, with its code; in the first run, with the way back to its steps."""
    config: Config = current_app.extensions["fleet_config"]
    found, today = tickets.get(ticket_id, by=by), clock.now().astimezone(config.timezone).date()
    payload = sheet.payload(config.public_url, code)
    return render_template(
        "ticket_ready.html",
        code=codes.shown(code),
        payload=payload,
        drawing=ticket_android.drawing(payload, error="m"),
        android=ticket_android.told(found, code, by=by, config=config),
        public_url=config.public_url,
        is_local_only=config.is_local_only,
        back=url_for("web.setup" if is_first_run else "web.ticket_new"),
        is_first_run=is_first_run,
        has_pupils=found.school_class is not None and bool(arrivals.pupils(found.school_class, by=by, today=today)),
        now=clock.now(),
        **standing(found),
    )
