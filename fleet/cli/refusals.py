"""What the domain refuses, as sentences for a person at a terminal: what is wrong, and what to do about it.

Words are found by the error's code, of the general ones (invalid, not-found, conflict) also by the kind of thing they
are about. A test walks every error there is and every place that raises one, so none is left without words.
"""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli import (
    refusals_alerts,
    refusals_apps,
    refusals_database,
    refusals_lessons,
    refusals_municipalities,
    refusals_orders,
    refusals_pages,
    refusals_people,
    refusals_reports,
    refusals_rules,
    refusals_tablets,
    refusals_times,
)
from fleet.cli.wording import Data, Words, always, see
from fleet.errors import FleetError, InvalidFileError


def printable(text: str) -> str:
    """Return ``text`` with what is not printable written out: no text of a tablet or file shall steer the terminal."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def describe(error: FleetError) -> str:
    """Return ``error`` as text for a person at a terminal; of an invalid file several lines."""
    if isinstance(error, InvalidFileError):
        return "\n".join(printable(line) for line in _faults(error))
    words = BY_KIND.get((error.code, str(error.data.get("kind")))) or BY_CODE.get(error.code, _anything)
    return printable(words(error.data))


def share(data: Data) -> str:
    """Return how much a braked import would remove, such as ``6 of 10 classes, more than 10 %``."""
    things = {"memberships": "places in classes"}.get(data["kind"], data["kind"])
    return f"{data['removed']} of {data['of']} {things}, more than {data['max_removed_percent']} %"


def _faults(error: InvalidFileError) -> list[str]:
    lines = []
    for problem in error.problems:
        where = problem.file + (f":{problem.line}" if problem.line is not None else "")
        column = f" [{problem.column}]" if problem.column else ""
        found = f", found {problem.found!r}" if problem.found is not None else ""
        lines.append(f"{where}{column}: {problem.code}: expected {problem.expected}{found}")
    count = max(error.data.get("count", 0), len(lines))  # of very many only the first are kept
    first = f", the first {len(lines)} shown" if count > len(lines) else ""
    return [*lines, f"{count} problem(s){first}; nothing was changed"]


def _anything(data: Data) -> str:
    """Return the best that can be said of what has no words of its own."""
    about = " ".join(str(data[name]) for name in ("kind", "name") if data.get(name) is not None)
    why = [str(data[name]) for name in ("reason", "expected") if data.get(name) is not None]
    return ": ".join(part for part in (about, *why) if part) or "this is refused"


def _nobody_called(noun: str, listing: str) -> Words:
    """Say that nothing has the name; name what is near, else how to list what there is."""

    def words(data: Data) -> str:
        near = data.get("nearest")
        help_ = f"; nearest: {', '.join(near)}" if near else f": {see(listing)} lists them"
        return f"no {noun} is called {data.get('name')}{help_}"

    return words


def _no_number(noun: str, listing: str) -> Words:
    return lambda data: f"there is no {noun} {data.get('name')}: {see(listing)} lists them"


# -- what is not found -------------------------------------------------------------------------------------------------


def _no_school(data: Data) -> str:
    if str(data.get("reason")).startswith("several"):
        return f"several schools are called {data['name']}: give the id, from {see('schools list')}"
    return _nobody_called("school", "schools list")(data)


def _no_class(data: Data) -> str:
    reason, title = str(data.get("reason")), data.get("name")
    if reason.startswith("several schools"):
        return f"class {title} is in several schools: say which with --school NAME"
    if reason.startswith("several classes"):
        return f"several classes are called {title}: give the id, from {see('classes list')}"
    if "ended" in reason:
        return f"class {title} has ended, so nothing can be done with it any more"
    return _nobody_called("class", "classes list")(data)


def _no_tablet(data: Data) -> str:
    if str(data.get("reason")).startswith("several"):
        return f"several tablets have the asset tag {data['name']}: give the serial, from {see('devices list')}"
    near = data.get("nearest")
    help_ = f"; nearest: {', '.join(near)}" if near else f": {see('devices list')} lists them"
    return f"no tablet has the serial or asset tag {data.get('name')}{help_}"


def _no_pupil(data: Data) -> str:
    if str(data.get("reason")).startswith("several"):
        return "several pupils have this user name: give the id that the roster has"
    return "no pupil has this user name or id in the roster"


def _no_version(data: Data) -> str:
    name, known = data.get("profile", data.get("name")), data.get("published") or []
    if known:
        versions = ", ".join(map(str, known))
        return f"{name} has no published version {data.get('number')}; published: {versions}"
    publish, look = see(f"profiles publish {name}"), see(f"profiles show {name} --draft")
    return f"{name} has only a draft: publish it with {publish}, or look at it with {look}"


def _no_setting_here(data: Data) -> str:
    return f"no profile of this tablet says anything about {data.get('name')}"


def _no_day(data: Data) -> str:
    return f"nothing was decided about {data.get('name')} here: {see('schools calendar show')} lists the days"


def _no_job(data: Data) -> str:
    return f"no job is called {data.get('name')}; jobs: {', '.join(data.get('known') or ())}"


# -- what the present state does not allow -----------------------------------------------------------------------------


def _tablet_state(data: Data) -> str:
    serial, state, step = data.get("serial"), str(data.get("state")), data.get("step")
    tablet = f"tablet {serial}"
    if (step, state) in {("lost", "lost"), ("retire", "retired")}:
        return f"{tablet} is already {state}"
    not_so = {
        "revoke": f"is not enrolled ({state}): it has no key to take back",
        "approve": f"does not wait for approval ({state})",
        "decline": f"does not wait for approval ({state})",
        "found": f"is not lost ({state})",
        "reinstate": f"is not retired ({state})",
    }
    if step in not_so:
        return f"{tablet} {not_so[step]}"
    if state == "retired":
        return f"{tablet} is retired: take it into use first with {see(f'devices reinstate {serial}')}"
    return f"{tablet} is not enrolled ({state}): an order would not reach it"


def _named(data: Data, what: str) -> str:
    if "roster" in str(data.get("reason")):
        return f"{data.get('name')} is named by the roster: change the name there"
    return f"{what} is called {data.get('name')} already"


def _profile_state(data: Data) -> str:
    name, reason = data.get("name"), str(data.get("reason"))
    if "no draft" in reason:
        return f"{name} has no draft to publish: bring a changed one in with {see('profiles import FILE')}"
    return f"{name} has nothing new to publish: {reason}"


def _import_state(data: Data) -> str:
    used = data.get("used_by") or {}
    by = f" ({', '.join(f'{table} {count}' for table, count in used.items())})" if isinstance(used, Mapping) else ""
    return f"import {data.get('id')} cannot be taken back: {data.get('reason')}{by if used else ''}"


# -- what is not acceptable --------------------------------------------------------------------------------------------


def _bad_ticket(data: Data) -> str:
    reason, expected = data.get("reason"), str(data.get("expected"))
    if reason == "expiry":
        return f"a ticket's expiry must lie {expected}"
    if reason == "number":
        limits, _, why = expected.partition("; ")
        how = f": {why} (--max)" if why else f", not {data.get('found')} (--max)"
        return f"a ticket takes in {limits} tablets{how}"
    return f"this ticket cannot be: {reason}"


def _bad_assignment(data: Data) -> str:
    if "ends" in str(data.get("reason")):
        return "the assignment would end before it starts, or has ended already: look at --from and --until"
    return str(data.get("reason"))


def _bad_password(data: Data) -> str:
    told = {
        "too-short": f"the password needs at least {data.get('minimum')} characters",
        "too-long": f"the password may have at most {data.get('maximum')} characters",
        "username": "the password must not contain the user name",
        "repeated": "the password repeats one pattern",
        "common": "the password is among the first ones that are guessed",
    }
    return told.get(str(data.get("reason")), "the password is too weak")


# -- the rest ----------------------------------------------------------------------------------------------------------


def _braked(data: Data) -> str:
    if "max_removed_percent" in data:
        remedy = "look at --dry-run, then repeat with --allow-removals if it is right"
        return f"this import would remove {share(data)}: {remedy}"
    return "so much would change at once that it waits for an explicit yes: look at --dry-run first"


def _wifi_lost(data: Data) -> str:
    count = data.get("tablets")
    return f"{count} tablet(s) would lose the only Wi-Fi they know: repeat with --confirm {count} if it is right"


def _moves(data: Data) -> str:
    serials, moves = data.get("serials") or (), data.get("moves")
    more = ", …" if isinstance(moves, int) and moves > len(serials) else ""
    which = f" ({', '.join(serials)}{more})" if serials else ""
    remedy = "look at --dry-run, then repeat with --allow-moves if it is right"
    return f"this list would move {moves} tablet(s) in use{which}: {remedy}"


def _outdated(data: Data) -> str:
    do = f"run {see('database upgrade')}"
    if data.get("found") == "no tables":
        return f"the database has no tables yet: {do}"
    return f"the database is at {data.get('found')}, this program needs {data.get('expected')}: {do}"


def _held_up(data: Data) -> str:
    again = f"nothing was changed; then run {see('database upgrade')} again"
    if data.get("is_lock"):
        return (
            f"somebody kept a table for more than {data.get('seconds')} s: stop the servers and wait until backups and "
            f"long queries are over (pg_stat_activity lists them); {again}"
        )
    return (
        f"a step took more than {data.get('seconds')} s: look for what keeps the database busy (pg_stat_activity), or "
        f"do it when nobody works; {again}"
    )


def _sequence(what: str) -> Words:
    return lambda data: f"the report's number {what} the last one ({data.get('last_sequence')})"


def _push_certificate(data: Data) -> str:
    told = {
        "topic-missing": "this is no push certificate for device management: download the one that Apple's portal made",
        "key": "this certificate is of another request's key: upload the one that was made for this server's request",
        "expired": "this certificate has run out: renew it at Apple's portal",
        "topic": "this certificate is of another topic, and every iPad would be lost: renew the one in use at Apple's "
        "portal with the same Apple account",
    }
    return told.get(
        str(data.get("reason")),
        "this is no certificate that can be read: give the file (.pem) that Apple's portal made",
    )


def _server_token(data: Data) -> str:
    told = {
        "key": "this token is encrypted to another key: upload what `fleet apple token-key` gives at Apple School "
        "Manager, and download the token again",
        "fields": "something of this token is missing: download it again",
        "expired": "this token has run out: download a new one at Apple School Manager",
    }
    return told.get(
        str(data.get("reason")),
        "this is no server token that can be read: give the file (.p7m) from Apple School Manager",
    )


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {
        **refusals_apps.BY_CODE,
        **refusals_database.BY_CODE,
        **refusals_orders.BY_CODE,
        **refusals_lessons.BY_CODE,
        **refusals_municipalities.BY_CODE,
        **refusals_reports.BY_CODE,
        **refusals_rules.BY_CODE,
        **refusals_tablets.BY_CODE,
        "error": _anything,
        "invalid": _anything,
        "not-found": _anything,
        "conflict": _anything,
        "forbidden": lambda data: f"the permission {data.get('permission')} is needed for this",
        "braked": _braked,
        "braked-moves": _moves,
        "wifi-lost": _wifi_lost,
        "draft-changed": lambda data: f"somebody else has changed {data.get('profile')} meanwhile: look at it again",
        "config": lambda data: f"{data.get('variable')} is {data.get('found')!r}: it must be {data.get('expected')}",
        "database-outdated": _outdated,
        "database-newer": always("the database is of a newer program; nothing was done: run that program here too"),
        "upgrade-held-up": _held_up,
        "invalid-file": always("the file has faults; nothing was changed"),
        "stale-epoch": always("another server runs the jobs by now"),
        # Tablets at the gate; staff see these in tests and simulators only.
        "enrolment-refused": always("the tablet is not taken in"),
        "ticket-mistyped": lambda data: f"this is no ticket's code: it must be {data.get('expected')}",
        "ticket-unknown": always("no ticket has this code: compare it with the sheet"),
        "ticket-expired": always(f"the ticket has expired: make a new one with {see('tickets create')}"),
        "ticket-exhausted": always(f"the ticket is used up: make a new one with {see('tickets create')}"),
        "ticket-revoked": always(f"the ticket was revoked: make a new one with {see('tickets create')}"),
        "ticket-foreign": always("the delivery list has this tablet at another school than the ticket's"),
        "serial-not-listed": always("the ticket takes tablets of the delivery list only, and this is none of them"),
        "device-lost": always(f"the tablet is reported lost: {see('devices found SERIAL')} if it is back"),
        "device-retired": always(f"the tablet is retired: {see('devices reinstate SERIAL')} takes it into use"),
        "device-in-use": always(
            f"a tablet of this serial was heard from a moment ago: wait, or {see('devices revoke SERIAL')} first"
        ),
        "revoked": always("the tablet's key does not count any more: it has to enrol again with a ticket"),
        "replay": _sequence("is not above"),
        "malformed": _sequence("is too far above"),
        "report-conflict": always("another report came with this id before"),
        "ticket-made-already": lambda data: f"this wish has made ticket {data.get('ticket_id')} already",
        "push-certificate": _push_certificate,
        "server-token": _server_token,
        # Signing in.
        "password-weak": _bad_password,
        "password-wrong": always("the present password is another one"),
        "link-invalid": always(f"the link is used, expired or unknown: {see('people link NAME')} makes a new one"),
        "too-many-failures": lambda data: f"too many failed attempts: wait {data.get('retry_after_s')} seconds",
        "sign-in-refused": always("wrong user name or password"),
    }
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        **refusals_alerts.BY_KIND,
        **refusals_apps.BY_KIND,
        **refusals_orders.BY_KIND,
        **refusals_lessons.BY_KIND,
        **refusals_municipalities.BY_KIND,
        **refusals_reports.BY_KIND,
        **refusals_pages.BY_KIND,
        **refusals_people.BY_KIND,
        **refusals_rules.BY_KIND,
        **refusals_times.BY_KIND,
        **refusals_tablets.BY_KIND,
        ("not-found", "school"): _no_school,
        ("not-found", "class"): _no_class,
        ("not-found", "pupil"): _no_pupil,
        ("not-found", "tablet"): _no_tablet,
        ("not-found", "account"): _nobody_called("account", "people list"),
        ("not-found", "profile"): _nobody_called("profile", "profiles list"),
        ("not-found", "published version"): _no_version,
        ("not-found", "version"): lambda data: (
            f"{data.get('profile')} has no version {data.get('number')}; it has: {', '.join(map(str, data['known']))}"
        ),
        ("not-found", "draft"): lambda data: f"{data.get('name')} has no draft: leave --draft out",
        ("not-found", "setting"): _nobody_called("setting", "devices why SERIAL"),
        ("not-found", "setting of this tablet"): _no_setting_here,
        ("not-found", "calendar day"): _no_day,
        ("not-found", "job"): _no_job,
        ("not-found", "ticket"): _no_number("ticket", "tickets list"),
        ("not-found", "assignment"): _no_number("assignment", "assignments list"),
        ("not-found", "roster-import"): always("no roster was imported yet: there is nothing to take back"),
        ("conflict", "tablet"): _tablet_state,
        ("conflict", "school"): lambda data: _named(data, "a school"),
        ("conflict", "class"): lambda data: _named(data, "a class of the school"),
        ("invalid", "school"): lambda data: f"a school's name has {data.get('expected')}",
        ("invalid", "class"): lambda data: f"a class's title has {data.get('expected')}",
        ("conflict", "profile"): _profile_state,
        ("conflict", "draft"): lambda data: f"{data.get('name')} has a draft already: publish or discard it first",
        ("conflict", "roster-import"): _import_state,
        ("conflict", "ticket"): lambda data: f"ticket {data.get('id')} is revoked already",
        ("conflict", "assignment"): lambda data: f"assignment {data.get('id')} does not apply any more",
        ("conflict", "sheet"): lambda data: (
            f"{data.get('name')} is there already, and the code on it would be lost: name another file, or add --force"
        ),
        ("invalid", "tablet"): lambda data: f"tablet {data.get('serial')} cannot go there: {data.get('reason')}",
        ("invalid", "cart"): lambda data: f"a cart's name must be {data.get('expected')}",
        ("invalid", "ticket"): _bad_ticket,
        ("invalid", "assignment"): _bad_assignment,
        ("invalid", "language"): lambda data: f"choose one of {data.get('expected')}",
    }
)
