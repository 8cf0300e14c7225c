"""Why a tablet has what it has: winners, losers and rules, over four levels."""

from datetime import timedelta

import pytest
from flask import Flask

from fleet.assignments import leases
from fleet.assignments.assigning import Place
from fleet.assignments.leases import Held
from fleet.assignments.reasons import Case, Source, Why, compare, unmet, why
from fleet.db import db, transaction
from fleet.devices.models import Device, Platform
from fleet.errors import NotFoundError
from tests import factories as make
from tests.conftest import NOW

HOUR = timedelta(hours=1)
KEY = "passcode.min_length"


def four_levels() -> Device:
    """Return a pupil's tablet with one key set at every level."""
    school = make.school()
    of, pupil = make.school_class(school, "8B"), make.pupil(school)
    make.membership(pupil, of)
    device = make.device(school, person=pupil, serial="FIRE-NIVA")
    make.assign(make.published("kommune", **{KEY: 6}), Place.municipality())
    make.assign(make.published("skole", **{KEY: 4}), Place.school(school))
    make.assign(make.published("klasse", **{KEY: 8}), Place.school_class(of))
    make.assign(make.published("brett", **{KEY: 5, "camera.allowed": False}), Place.device(device))
    return device


def places(found: Why, layers: list[str]) -> list[tuple[str, str]]:
    return [(found.sources[layer].scope, found.sources[layer].place) for layer in layers]


def test_a_key_set_at_four_levels_has_its_winner_its_losers_and_its_rule(app: Flask) -> None:
    with transaction():
        found = why(four_levels(), at=NOW, key=KEY)
    assert found.effective.settings == {KEY: 8}
    reason = found.effective.reasons[KEY]
    assert (reason.value, reason.rule) == (8, "strictest: highest wins")
    assert places(found, list(reason.winners)) == [("class", "8B")]
    losers = {(*places(found, [one.layer])[0], one.value) for one in reason.losers}
    assert losers == {("municipality", "municipality", 6), ("school", "Prøveskolen", 4), ("device", "FIRE-NIVA", 5)}
    assert {(one.profile, one.version) for one in found.sources.values()} == {
        (name, 1) for name in ("kommune", "skole", "klasse", "brett")
    }


def test_without_a_key_every_setting_is_explained(app: Flask) -> None:
    with transaction():
        found = why(four_levels(), at=NOW)
    assert found.effective.reasons.keys() == {KEY, "camera.allowed"}
    (source,) = (found.sources[layer] for layer in found.effective.reasons["camera.allowed"].winners)
    assert source == Source(source.id, "device", "FIRE-NIVA", "brett", 1)


def test_only_what_applies_at_the_instant_counts(app: Flask) -> None:
    with transaction():
        device = make.device(make.school())
        make.assign(
            make.published("time", **{KEY: 9}), Place.device(device), starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR
        )
        make.assign(make.published("alltid", **{KEY: 5}), Place.device(device))
    assert [why(device, at=at, key=KEY).effective.settings[KEY] for at in (NOW, NOW + HOUR, NOW + 2 * HOUR)] == [
        5,
        9,
        5,
    ]


def test_a_key_that_blocking_took_away_is_explained_too(app: Flask) -> None:
    with transaction():
        device = make.device(make.school())
        make.assign(make.published("a", **{"kiosk.app": "no.spill"}), Place.device(device))
        make.assign(make.published("b", **{"apps.blocked": ["no.spill"]}), Place.municipality())
    found = why(device, at=NOW, key="kiosk.app")
    assert found.effective.settings == {}
    assert found.effective.reasons["kiosk.app"].removed == ("no.spill",)


@pytest.mark.parametrize("key", ["kamera.allowed", "bluetooth.allowed"])
def test_a_key_nobody_knows_or_nobody_set_is_not_found(app: Flask, key: str) -> None:
    with transaction():
        device = four_levels()
    with pytest.raises(NotFoundError, match=key):
        why(device, at=NOW, key=key)


def test_what_would_be_is_worked_out_beside_what_is_and_nothing_is_stored(app: Flask) -> None:
    with transaction():
        device = four_levels()
        other = make.school("Naboskolen")
        target = make.school_class(other, "5C")
        make.assign(make.published("nabo", **{KEY: 9}), Place.school_class(target))
        make.assign(make.published("natt", **{KEY: 12}), Place.municipality(), starts_at=NOW + HOUR)
        lease = leases.create(profile="lesing", version=1, place="8B", settings={KEY: 16}, now=NOW)
        leases.grant([Held(device.id, lease.id, NOW, NOW + HOUR)])
    desired = device.state.desired_digest
    cases = [
        Case(NOW),
        Case(NOW, without_leases=True),
        Case(NOW, without_leases=True, in_class=target),
        Case(NOW + 2 * HOUR),
    ]
    found = compare(device, cases)
    assert [one.effective.settings[KEY] for one in found] == [16, 8, 9, 12]
    assert found[0].sources[f"lease:{lease.id}"] == Source(lease.id, "lesson", "8B", "lesing", 1)
    assert {one.place for one in found[2].sources.values()} == {"municipality", "5C", "FIRE-NIVA"}
    assert device.state.desired_digest == desired


def test_two_cases_cost_a_bounded_number_of_statements_however_many_layers(app: Flask, statements: list[str]) -> None:
    counts = []
    with transaction():
        device = four_levels()
        school = device.school
        assert school is not None
        assert device.person is not None
    for round_ in range(2):
        compare(device, [Case(NOW), Case(NOW + 30 * 24 * HOUR)])
        db.session.expire_all()
        assert device.serial
        statements.clear()
        compare(device, [Case(NOW), Case(NOW + 30 * 24 * HOUR)])
        counts.append(len(statements))
        with transaction():
            for number in range(5):
                of = make.school_class(school, f"G{number}")
                make.membership(device.person, of)
                make.assign(make.published(f"gruppe-{round_}{number}", **{KEY: 5}), Place.school_class(of))
    assert counts[0] == counts[1] <= 10


@pytest.mark.parametrize(
    ("platform", "reasons"),
    [
        (Platform.ANDROID, {"apps.required": ["no-package"], "kiosk.app": ["no-kiosk"]}),
        (Platform.IPADOS, {}),
        (Platform.LINUX, {}),
    ],
)
def test_a_tablet_that_was_never_in_use_is_judged_by_its_kind(
    app: Flask, platform: Platform, reasons: dict[str, list[str]]
) -> None:
    settings = {"apps.required": ["no.example.app"], "kiosk.app": "no.example.app"}
    with transaction():
        found = unmet(make.device(make.school(), platform=platform), settings)
    assert {key: [one.reason for one in told] for key, told in found.items()} == reasons
