"""Taking back: exactly what was, and only where nobody has changed it since."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import update

from fleet.access import Grant, Principal, Role
from fleet.assignments import assigning, publishing, releasing, undoing
from fleet.assignments.assigning import Place
from fleet.assignments.effect import WifiLostError
from fleet.assignments.models import Assignment
from fleet.db import db, transaction
from fleet.devices.models import Device
from fleet.errors import ConflictError, ForbiddenError, NotFoundError
from profiles.profile import Profile
from tests import factories as make
from tests.conftest import NOW

BY = Principal.command_line()
MINUTE = timedelta(minutes=1)
WIFI = {"ssid": "skole", "security": "wpa2", "password": "meget hemmelig"}


def standing() -> list[tuple[int, int]]:
    """Return the numbers of the assignments that stand, each with its version."""
    db.session.expire_all()
    return [(one.id, one.profile_version.number) for one in assigning.listed(by=BY, now=NOW)]


def desired(device: Device) -> str | None:
    db.session.refresh(device.state)
    return device.state.desired_digest


@pytest.mark.parametrize("where", ["everywhere", "school", "class", "tablet"])
def test_undoing_what_was_given_gives_back_exactly_what_it_replaced(app: Flask, where: str) -> None:
    with transaction():
        school = make.school()
        of, device = make.school_class(school), make.device(school)
        place = {
            "everywhere": Place.municipality(), "school": Place.school(school), "class": Place.school_class(of),
            "tablet": Place.device(device),
        }[where]  # fmt: skip
        version = make.published("grunnoppsett", **{"camera.allowed": False})
        ended = make.assign(version, place)
        ended.withdrawn_at = NOW  # by hand, before: stays so
        elsewhere = make.assign(version, Place.school(make.school("Der")))
        first = make.assign(version, place, now=NOW + MINUTE)
        before = desired(device)
        newer = make.next_version(version, **{"camera.allowed": True})
        second = make.assign(newer, place, now=NOW + 2 * MINUTE)
    with transaction():
        done = undoing.undo_assigning(second.id, version=2, by=BY, now=NOW + 3 * MINUTE)
        assert [one.id for one in done.back] == [first.id]
        assert standing() == [(elsewhere.id, 1), (first.id, 1)]
        assert desired(device) == before
    assert first.created_at == NOW + MINUTE
    (line,) = make.audited(action="assignments.given-back")
    assert (line.fields["profile"], line.fields["version"]) == ("grunnoppsett", 1)
    with pytest.raises(ConflictError, match="any more"), transaction():
        undoing.undo_assigning(second.id, version=2, by=BY, now=NOW + 3 * MINUTE)


def test_what_was_given_for_a_while_goes_alone(app: Flask) -> None:
    with transaction():
        place, version = Place.school(make.school()), make.published()
        first = make.assign(version, place)
        second = make.assign(version, place, ends_at=NOW + 9 * MINUTE)
        done = undoing.undo_assigning(second.id, version=1, by=BY, now=NOW + MINUTE)
        assert done.back == ()
        assert standing() == [(first.id, 1)]


def test_what_a_release_has_moved_since_is_not_undone(app: Flask) -> None:
    with transaction():
        place, version = Place.school(make.school()), make.published()
        make.assign(version, place)
        second = make.assign(version, place, now=NOW + MINUTE)
        publishing.save_draft(Profile("grunnoppsett", "Ny", {"camera.allowed": True}), by=BY, now=NOW)
        releasing.release(publishing.find("grunnoppsett"), by=BY, now=NOW + 2 * MINUTE)
    with pytest.raises(ConflictError, match="changed since"), transaction():
        undoing.undo_assigning(second.id, version=1, by=BY, now=NOW + 3 * MINUTE)
    assert standing() == [(second.id, 2)]


@pytest.mark.parametrize("act", ["undo", "withdraw", "again"])
def test_what_another_did_while_one_waited_for_the_turn_counts(app: Flask, act: str) -> None:
    with transaction():
        one = make.assign(make.published(), Place.municipality())
        if act == "again":
            assigning.withdraw(one.id, by=BY, now=NOW)
        meanwhile = None if act == "again" else NOW
        db.session.execute(
            update(Assignment).values(withdrawn_at=meanwhile).execution_options(synchronize_session=False)
        )  # as another connection would: what is loaded here does not know it
        acts: dict[str, Callable[[], object]] = {
            "undo": lambda: undoing.undo_assigning(one.id, version=1, by=BY, now=NOW),
            "withdraw": lambda: assigning.withdraw(one.id, by=BY, now=NOW),
            "again": lambda: undoing.undo_withdrawing(one.id, by=BY, now=NOW),
        }
        with pytest.raises(ConflictError):
            acts[act]()


def test_undoing_never_takes_the_only_wifi(app: Flask) -> None:
    with transaction():
        school = make.school()
        make.in_use(school, 2)
        version = make.published("grunnoppsett", **{"camera.allowed": False})
        make.assign(version, Place.school(school))
        second = make.assign(make.next_version(version, **{"wifi.networks": [WIFI]}), Place.school(school))
    with pytest.raises(WifiLostError), transaction():
        undoing.undo_assigning(second.id, version=2, by=BY, now=NOW + MINUTE)
    assert standing() == [(second.id, 2)]


def released() -> releasing.Released:
    """Publish what turns the camera on, and move what stands to it."""
    publishing.save_draft(Profile("grunnoppsett", "Ny", {"camera.allowed": True}), by=BY, now=NOW)
    return releasing.release(publishing.find("grunnoppsett"), by=BY, now=NOW + MINUTE)


def test_each_place_gets_back_the_version_it_had_before_a_release(app: Flask) -> None:
    with transaction():
        schools = [make.school(name) for name in ("Her", "Der", "Borte")]
        devices = [make.device(one) for one in schools]
        first = make.published()
        second = make.next_version(first, **{"passcode.min_length": 6})
        numbers = [
            make.assign(version, Place.school(one)).id
            for version, one in zip((first, second, first), schools, strict=True)
        ]
        gone = make.assign(first, Place.municipality())
        assigning.withdraw(gone.id, by=BY, now=NOW)
        before = [desired(one) for one in devices]
        done = released()
        assert done.moved.keys() == set(numbers)
    assert [version for _number, version in standing()] == [3, 3, 3]
    with transaction():
        assert undoing.undo_release(done.version.id, done.moved, by=BY, now=NOW + 2 * MINUTE) == 3
    assert standing() == list(zip(numbers, (1, 2, 1), strict=True))
    assert [desired(one) for one in devices] == before
    assert publishing.published(publishing.find("grunnoppsett")).number == 3
    (line,) = make.audited(action="assignments.moved-back")
    assert (line.fields["version"], line.fields["count"]) == (3, 3)
    with pytest.raises(ConflictError, match="changed since"), transaction():
        undoing.undo_release(done.version.id, done.moved, by=BY, now=NOW + 3 * MINUTE)


@pytest.mark.parametrize("since", ["withdrawn", "given", "published"])
def test_a_release_that_others_have_gone_on_from_is_not_undone(app: Flask, since: str) -> None:
    with transaction():
        school = make.school()
        make.assign(make.published(), Place.municipality())
        one = make.assign(publishing.published(publishing.find("grunnoppsett")), Place.school(school))
        done = released()
        if since == "withdrawn":
            assigning.withdraw(one.id, by=BY, now=NOW + 2 * MINUTE)
        elif since == "given":
            make.assign(done.version, Place.school(make.school("Der")), now=NOW + 2 * MINUTE)
        else:
            make.next_version(done.version, **{"passcode.min_length": 6})
    before = standing()
    with pytest.raises(ConflictError, match="changed since"), transaction():
        undoing.undo_release(done.version.id, done.moved, by=BY, now=NOW + 3 * MINUTE)
    assert standing() == before


def test_undoing_a_release_needs_what_releasing_needs_and_spares_the_only_wifi(app: Flask) -> None:
    with transaction():
        school = make.school()
        make.in_use(school, 2)
        make.assign(make.published("grunnoppsett", **{"camera.allowed": False}), Place.school(school))
        publishing.save_draft(Profile("grunnoppsett", "Ny", {"wifi.networks": [WIFI]}), by=BY, now=NOW)
        done = releasing.release(publishing.find("grunnoppsett"), by=BY, now=NOW + MINUTE)
    with pytest.raises(WifiLostError), transaction():
        undoing.undo_release(done.version.id, done.moved, by=BY, now=NOW + 2 * MINUTE)
    it = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, school.id),))
    with pytest.raises(ForbiddenError), transaction():
        undoing.undo_release(done.version.id, done.moved, by=it, now=NOW + 2 * MINUTE)
    assert [version for _number, version in standing()] == [2]


def withdrawn(place: Place) -> Assignment:
    made = make.assign(make.published(), place)
    assigning.withdraw(made.id, by=BY, now=NOW + MINUTE)
    return made


def test_what_was_withdrawn_comes_back_as_it_was_once(app: Flask) -> None:
    with transaction():
        school = make.school()
        device = make.device(school)
        one = make.assign(make.published(), Place.school(school))
        before = desired(device)
        assigning.withdraw(one.id, by=BY, now=NOW + MINUTE)
        assert desired(device) != before
        assert undoing.undo_withdrawing(one.id, by=BY, now=NOW + 2 * MINUTE).tablets == 1
        assert desired(device) == before
    assert (one.created_at, one.withdrawn_at) == (NOW, None)
    with pytest.raises(ConflictError, match="changed since"), transaction():
        undoing.undo_withdrawing(one.id, by=BY, now=NOW + 3 * MINUTE)
    assert standing() == [(one.id, 1)]


def test_what_a_colleague_has_given_since_stays(app: Flask) -> None:
    with transaction():
        place = Place.school(make.school())
        one = withdrawn(place)
        newer = make.next_version(one.profile_version, **{"camera.allowed": True})
        second = make.assign(newer, place, now=NOW + 2 * MINUTE)
    with pytest.raises(ConflictError, match="changed since"), transaction():
        undoing.undo_withdrawing(one.id, by=BY, now=NOW + 3 * MINUTE)
    assert standing() == [(second.id, 2)]


def test_a_version_published_since_is_not_passed_by(app: Flask) -> None:
    with transaction():
        one = withdrawn(Place.municipality())
        publishing.save_draft(Profile("grunnoppsett", "Ny", {"camera.allowed": True}), by=BY, now=NOW)
        publishing.publish(publishing.find("grunnoppsett"), by=BY, now=NOW + 2 * MINUTE)
    with pytest.raises(ConflictError, match="changed since"), transaction():
        undoing.undo_withdrawing(one.id, by=BY, now=NOW + 3 * MINUTE)


def test_what_stood_beside_it_all_along_does_not_keep_it_away(app: Flask) -> None:
    with transaction():
        place, version = Place.school(make.school()), make.published()
        one = make.assign(version, place, ends_at=NOW + 9 * MINUTE)
        other = make.assign(version, place)
        assigning.withdraw(one.id, by=BY, now=NOW + MINUTE)
        undoing.undo_withdrawing(one.id, by=BY, now=NOW + 2 * MINUTE)
    assert standing() == [(one.id, 1), (other.id, 1)]
    with transaction():
        assigning.withdraw(one.id, by=BY, now=NOW + 3 * MINUTE)
    with pytest.raises(ConflictError, match="any more"), transaction():
        undoing.undo_withdrawing(one.id, by=BY, now=NOW + 9 * MINUTE)


def test_only_who_may_assign_there_undoes(app: Flask) -> None:
    with transaction():
        own, other = make.school("Her"), make.school("Der")
        it = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, own.id),))
        version = make.published()
        everywhere, there = make.assign(version, Place.municipality()), make.assign(version, Place.school(other))
    for one, error in ((everywhere, ForbiddenError), (there, NotFoundError)):
        with pytest.raises(error), transaction():
            undoing.undo_assigning(one.id, version=1, by=it, now=NOW)
        with transaction():
            assigning.withdraw(one.id, by=BY, now=NOW)
        with pytest.raises(error), transaction():
            undoing.undo_withdrawing(one.id, by=it, now=NOW)
