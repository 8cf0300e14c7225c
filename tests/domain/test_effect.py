"""What a change would do is known before it is done, and is what happens then."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.assignments import assigning, effect, publishing, releasing, schedules
from fleet.assignments.assigning import Place
from fleet.assignments.effect import Effect, SettingEffect, WifiLostError
from fleet.assignments.models import Assignment
from fleet.assignments.releasing import Released
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceLife, DeviceState
from fleet.errors import ConflictError, ForbiddenError
from profiles.profile import Profile
from tests import factories as make
from tests.conftest import NOW

BY = Principal.command_line()
DAY = timedelta(days=1)
SCHOOL_NET = {"ssid": "skole", "security": "wpa2", "password": "meget hemmelig"}
OTHER_NET = {"ssid": "gjest", "security": "open"}


def of_settings(name: str, **settings: Any) -> Effect:
    return effect.work_out(effect.of_settings(name, settings, now=NOW), now=NOW)


def desired(device: Device) -> str | None:
    db.session.expire_all()
    return db.session.get_one(DeviceState, device.id).desired_digest


def test_effect_counts_tablets_schools_and_settings_as_they_become(app: Flask) -> None:
    with transaction():
        one, other = make.school(), make.school("Naboskolen")
        make.tablets(one, 3)
        make.tablets(other, 2)
        make.device(one, life=DeviceLife.RETIRED)
        make.device(one, life=DeviceLife.EXPECTED)
        base = make.published("grunn", **{"camera.allowed": False, "sound.volume_max_percent": 50})
        strict = make.published("streng", **{"camera.allowed": False})
        make.assign(base, Place.municipality())
        make.assign(strict, Place.school(other))
    found = of_settings("grunn", **{"sound.volume_max_percent": 70, "wallpaper.image": "kommune"})
    assert (found.concerned, found.tablets, found.schools) == (5, 5, {one.id: 3, other.id: 2})
    assert found.settings == [
        SettingEffect("sound.volume_max_percent", 5, 5),
        SettingEffect("wallpaper.image", 5, 0),
        SettingEffect("camera.allowed", 3, 3),  # the other school's own profile keeps the camera off
    ]
    assert [one.key for one in found.looser] == ["sound.volume_max_percent", "camera.allowed"]
    assert (found.without_wifi, found.lost_apps) == (0, {})


def test_change_that_others_hide_concerns_tablets_and_changes_none(app: Flask) -> None:
    with transaction():
        school = make.school()
        make.tablets(school, 2)
        make.assign(make.published("grunn", **{"camera.allowed": True}), Place.municipality())
        make.assign(make.published("streng", **{"camera.allowed": False}), Place.school(school))
    found = of_settings("grunn", **{"camera.allowed": False})
    assert (found.concerned, found.tablets, found.settings) == (2, 0, [])


def test_apps_that_need_not_be_installed_any_more_are_counted(app: Flask) -> None:
    with transaction():
        make.tablets(make.school(), 2)
        version = make.published("grunn", **{"apps.required": ["no.example.a", "no.example.b"]})
        make.assign(version, Place.municipality())
    assert of_settings("grunn", **{"apps.required": ["no.example.b"]}).lost_apps == {"no.example.a": 2}


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        ({"wifi.networks": [SCHOOL_NET]}, 0),
        ({"wifi.networks": [{**SCHOOL_NET, "password": "en annen hemmelighet"}]}, 0),
        ({"wifi.networks": [SCHOOL_NET, OTHER_NET]}, 0),
        ({"wifi.networks": [OTHER_NET]}, 3),
        ({}, 3),
    ],
)
def test_tablets_lose_their_wifi_where_no_network_they_know_stays(app: Flask, after: dict[str, Any], lost: int) -> None:
    with transaction():
        make.tablets(make.school(), 3)
        make.assign(make.published("nett", **{"wifi.networks": [SCHOOL_NET]}), Place.municipality())
    assert of_settings("nett", **after).without_wifi == lost


def test_network_of_another_layer_keeps_tablets_in_touch(app: Flask) -> None:
    with transaction():
        school = make.school()
        make.tablets(school, 2)
        make.tablets(make.school("Naboskolen"), 1)
        make.assign(make.published("nett", **{"wifi.networks": [SCHOOL_NET]}), Place.municipality())
        make.assign(make.published("eget", **{"wifi.networks": [SCHOOL_NET]}), Place.school(school))
    assert of_settings("nett").without_wifi == 1


def test_known_networks_only_closes_in_tablets_that_know_none(app: Flask) -> None:
    with transaction():
        make.tablets(make.school(), 2)
        make.assign(make.published("grunn"), Place.municipality())
    assert of_settings("grunn", **{"wifi.only_known": True}).without_wifi == 2


def test_loss_that_only_comes_later_counts_too(app: Flask) -> None:
    with transaction():
        make.tablets(make.school(), 2)
        make.assign(make.published("nett", **{"wifi.networks": [SCHOOL_NET]}), Place.municipality())
        tour = make.published("tur", **{"wifi.networks": [SCHOOL_NET]})
        make.assign(tour, Place.municipality(), ends_at=NOW + DAY)
    assert of_settings("nett").without_wifi == 2


def test_assigning_and_withdrawing_are_seen_before_they_are_done(app: Flask) -> None:
    with transaction():
        school = make.school()
        school_class = make.school_class(school)
        make.tablets(school, 2, of_class=school_class)
        own = make.device(school, person=(pupil := make.pupil(school)))
        make.membership(pupil, school_class)
        make.tablets(school, 4)
        version = make.published("stille", **{"sound.locked": True})
        place = Place.school_class(school_class)
        change = assigning.change_of(version, place, by=BY, now=NOW)
        assert effect.work_out(change, now=NOW).tablets == 3
        before = desired(own)
        given, moved = assigning.assign(version, place, by=BY, now=NOW)
        assert moved == 3
        assert desired(own) != before
        gone = effect.work_out(effect.of_withdrawing(given.id, now=NOW), now=NOW)
        assert (gone.tablets, [one.key for one in gone.looser]) == (3, ["sound.locked"])


def test_effect_counts_just_the_tablets_that_then_change(app: Flask) -> None:
    with transaction():
        school, other = make.school(), make.school("Naboskolen")
        classes = [make.school_class(school, title) for title in ("8A", "8B", "MAT 8")]
        first = make.published("a", **{"camera.allowed": False})
        second = make.published("b", **{"sound.locked": True})
        for number in range(6):  # pupils in one class, in two, in none; tablets of a class, and of nobody
            pupil = make.pupil(school)
            for one in classes[: number % 3]:
                make.membership(pupil, one)
            make.device(school, person=pupil)
        make.tablets(school, 2, of_class=classes[2])
        single = make.device(other)
        make.assign(first, Place.school(school))
        make.assign(second, Place.school_class(classes[0]))
        make.assign(second, Place.school_class(classes[1]))
        make.assign(second, Place.device(single))
    for name, settings in (
        ("a", {"camera.allowed": True}),
        ("b", {"sound.locked": False}),
        ("b", {"camera.allowed": False}),
    ):
        ids = db.session.scalars(select(Device.id)).all()
        before = {number: db.session.get_one(DeviceState, number).desired_digest for number in ids}
        foreseen = of_settings(name, **settings)
        with transaction():
            draft(name, **settings)
            releasing.release(publishing.find(name), by=BY, now=NOW)
        db.session.expire_all()
        after = {number: db.session.get_one(DeviceState, number).desired_digest for number in ids}
        assert foreseen.tablets == sum(before[number] != after[number] for number in ids) > 0


def test_effect_takes_as_many_statements_for_10_as_for_500_tablets(app: Flask, statements: list[str]) -> None:
    with transaction():
        school = make.school()
        make.tablets(school, 10)
        make.assign(make.published("grunn"), Place.municipality())
    counts = []
    for more in (490, 0):
        statements.clear()
        of_settings("grunn")
        counts.append(len(statements))
        with transaction():
            make.tablets(school, more)
    assert counts[0] == counts[1] <= 5


def draft(name: str, /, **settings: Any) -> None:
    publishing.save_draft(Profile(name, name, settings), by=BY, now=NOW)


def released(name: str, confirmed: int | None) -> Released:
    draft(name, **{"camera.allowed": False})
    return releasing.release(publishing.find(name), confirmed=confirmed, by=BY, now=NOW)


def test_releasing_moves_what_stands_and_tablets_get_it_at_once(app: Flask) -> None:
    with transaction():
        school, other = make.school(), make.school("Naboskolen")
        tablet, elsewhere = make.device(school), make.device(other)
        first = make.published("grunn")
        place = make.assign(first, Place.school(school))
        later = make.assign(first, Place.school(other), starts_at=NOW + DAY, ends_at=NOW + 2 * DAY)
        gone = make.assign(first, Place.municipality(), ends_at=NOW + DAY)
        assigning.withdraw(gone.id, by=BY, now=NOW)
        before, schedule = desired(tablet), db.session.get_one(DeviceState, elsewhere.id).schedule_digest
        draft("grunn", **{"camera.allowed": True})
        profile = publishing.find("grunn")
        done = releasing.release(profile, note="Kamera til alle", by=BY, now=NOW)
    assert (done.version.number, len(done.moved), done.tablets) == (2, 2, 2)
    assert (done.version.note, done.version.published_by) == ("Kamera til alle", "cli")
    assert desired(tablet) != before
    assert schedules.body(desired(tablet) or "") == b'{"camera.allowed":true}'
    assert db.session.get_one(DeviceState, elsewhere.id).schedule_digest != schedule
    said = {one.id: db.session.get_one(Assignment, one.id).profile_version.number for one in (place, later, gone)}
    assert said == {place.id: 2, later.id: 2, gone.id: 1}
    assert db.session.get_one(Assignment, later.id).starts_at == NOW + DAY
    (line,) = audit_lines("assignments.moved")
    assert line == {"profile": "grunn", "version": 2, "count": 2}


def audit_lines(action: str) -> list[dict[str, Any]]:
    return [one.fields for one in make.audited(action=action)]


def test_only_publishing_leaves_tablets_as_they_are(app: Flask) -> None:
    with transaction():
        tablet = make.device(make.school())
        make.assign(make.published("grunn"), Place.municipality())
        before = desired(tablet)
        draft("grunn", **{"camera.allowed": True})
        done = releasing.release(publishing.find("grunn"), everywhere=False, by=BY, now=NOW)
    assert (done.moved, done.tablets, desired(tablet)) == ({}, 0, before)
    assert audit_lines("assignments.moved") == []


def test_release_that_takes_the_only_wifi_waits_for_the_number_of_tablets(app: Flask) -> None:
    with transaction():
        make.tablets(make.school(), 3)
        make.assign(make.published("nett", **{"wifi.networks": [SCHOOL_NET]}), Place.municipality())
    for confirmed in (None, 2, 4):
        with pytest.raises(WifiLostError) as refused, transaction():
            released("nett", confirmed)
        assert refused.value.data == {"tablets": 3, "schools": 1}
    assert publishing.versions(publishing.find("nett"))[0].number == 1  # nothing of it stays
    with transaction():
        assert released("nett", 3).tablets == 3


def test_withdrawing_and_replacing_the_only_wifi_wait_too(app: Flask) -> None:
    with transaction():
        make.tablets(make.school(), 2)
        first = make.published("nett", **{"wifi.networks": [SCHOOL_NET]})
        standing = make.assign(first, Place.municipality())
        second = make.next_version(first, **{"camera.allowed": False})
    with pytest.raises(WifiLostError), transaction():
        assigning.withdraw(standing.id, by=BY, now=NOW)
    with pytest.raises(WifiLostError), transaction():
        make.assign(second, Place.municipality())
    with transaction():
        assert assigning.withdraw(standing.id, confirmed=2, by=BY, now=NOW) == 2


def test_what_changed_after_one_looked_is_neither_saved_nor_released(app: Flask) -> None:
    with transaction():
        draft("nett", **{"camera.allowed": False})
        profile = publishing.find("nett")
        seen = publishing.state_of(publishing.versions(profile))
        draft("nett", **{"camera.allowed": True})
    for act in (
        lambda: publishing.save_draft(Profile("nett", "Nett", {}), based_on=seen, by=BY, now=NOW),
        lambda: releasing.release(profile, based_on=seen, by=BY, now=NOW),
        lambda: publishing.discard_draft(profile, based_on=seen, by=BY, now=NOW),
    ):
        with pytest.raises(publishing.DraftChangedError), transaction():
            act()
    with pytest.raises(publishing.DraftChangedError), transaction():
        publishing.save_draft(Profile("nett", "Nett", {}), based_on=publishing.NOTHING, by=BY, now=NOW)


def test_an_older_version_comes_back_as_a_new_one(app: Flask) -> None:
    with transaction():
        first = make.published("grunn", **{"camera.allowed": False})
        make.next_version(first, **{"camera.allowed": True})
        profile = first.profile
        made = releasing.restore(profile, 1, by=BY, now=NOW)
        assert (made.number, made.published_at, made.settings) == (3, None, {"camera.allowed": False})
        with pytest.raises(ConflictError, match="draft already"):
            releasing.restore(profile, 1, by=BY, now=NOW)
        releasing.release(profile, by=BY, now=NOW)
    assert [one.number for one in publishing.versions(profile)] == [3, 2, 1]


def test_discarding_a_draft_leaves_what_was_published_or_nothing(app: Flask) -> None:
    with transaction():
        profile = make.published("grunn").profile
        draft("grunn", **{"camera.allowed": True})
        publishing.discard_draft(profile, by=BY, now=NOW)
        assert [one.number for one in publishing.versions(profile)] == [1]
        draft("ny", **{"camera.allowed": True})
        publishing.discard_draft(publishing.find("ny"), by=BY, now=NOW)
        assert [row["name"] for row in publishing.listed()] == ["grunn"]


def test_school_it_may_neither_release_restore_nor_discard(app: Flask) -> None:
    with transaction():
        school = make.school()
        by = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, school.id),))
        profile = make.published("grunn").profile
        draft("grunn", **{"camera.allowed": True})
        for act in (
            lambda: releasing.release(profile, by=by, now=NOW),
            lambda: releasing.restore(profile, 1, by=by, now=NOW),
            lambda: publishing.discard_draft(profile, by=by, now=NOW),
        ):
            with pytest.raises(ForbiddenError):
                act()
