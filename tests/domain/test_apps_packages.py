"""Packages of our own: taken, replaced, withdrawn, and their files, which are there before and after their rows."""

import hashlib
import os
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.apps import catalogue, packages
from fleet.apps.catalogue import PackageSource, Told
from fleet.apps.facts import PackageError
from fleet.apps.files import YOUNGEST, PackageFiles
from fleet.apps.ipa import read as read_package
from fleet.apps.models import App, AppPackage
from fleet.assignments import named
from fleet.assignments.assigning import Place
from fleet.checkup.checks import Grade
from fleet.db import db, transaction
from fleet.devices.models import DeviceState, Platform
from fleet.errors import ForbiddenError, NotFoundError
from tests import factories as make
from tests.conftest import NOW
from tests.packages import ipa

BY = Principal.command_line()
IPAD, WEATHER = Platform.IPADOS, "no.example.vaer"
DAY = timedelta(days=1)


@pytest.fixture
def files(tmp_path: Path) -> PackageFiles:
    return PackageFiles(tmp_path / "packages")


def taken(files: PackageFiles, source: Path) -> App:
    received = packages.receive(source, files, by=BY)
    with transaction():
        return packages.take(received, by=BY, now=NOW)


def kept(files: PackageFiles) -> set[str]:
    return {one.name for one in files.path("x").parent.iterdir()}


def test_a_package_takes_up_its_app_and_is_where_tablets_get_it(
    app: Flask, files: PackageFiles, tmp_path: Path
) -> None:
    source = ipa(tmp_path / "Vær 2.1.ipa")
    made = taken(files, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert (made.app_id, made.platform, made.name, made.store_id) == (WEATHER, IPAD, "Været", None)
    assert made.package is not None
    found = made.package
    assert (found.version, found.build, found.minimum_os, found.file_name) == ("2.1", "2103", "16.0", "Vær 2.1.ipa")
    assert (found.digest, found.size_bytes, len(found.token)) == (digest, source.stat().st_size, 43)
    assert files.path(digest).read_bytes() == source.read_bytes()
    assert files.path(digest).stat().st_mode & 0o077 == 0
    assert catalogue.sources(IPAD, [WEATHER])[WEATHER].package == PackageSource(
        found.token, "2.1", digest, found.size_bytes
    )
    (line,) = make.audited(action="apps.package-taken")
    assert line.fields == {
        "app": WEATHER,
        "name": "Været",
        "version": "2.1",
        "digest": digest,
        "file_name": "Vær 2.1.ipa",
    }
    assert found.token not in str([one.fields for one in make.audited()])


def test_a_server_that_lacks_files_of_packages_is_told(app: Flask, files: PackageFiles, tmp_path: Path) -> None:
    taken(files, ipa(tmp_path / "a.ipa"))
    assert packages.examine(files).grade is Grade.OK
    elsewhere = packages.examine(PackageFiles(tmp_path / "of another machine"))
    assert (elsewhere.grade, elsewhere.seen[:6]) == (Grade.FAULT, "1 of 1")


def test_an_app_that_is_known_keeps_its_name_and_its_place_in_the_store(
    app: Flask, files: PackageFiles, tmp_path: Path
) -> None:
    with transaction():
        catalogue.add(WEATHER, IPAD, Told("Yr for skoler", "123"), by=BY, now=NOW)
    made = taken(files, ipa(tmp_path / "a.ipa"))
    assert (made.name, made.store_id) == ("Yr for skoler", 123)


def test_the_same_again_changes_nothing_and_another_takes_its_place(
    app: Flask, files: PackageFiles, tmp_path: Path
) -> None:
    source = ipa(tmp_path / "a.ipa")
    first = taken(files, source).package
    assert taken(files, source).package is first
    assert first is not None
    made = taken(files, ipa(tmp_path / "b.ipa", _ShortVersionString="2.2"))
    assert made.package is not None
    assert (made.package.version, first.is_current, first.replaced_at) == ("2.2", False, NOW)
    assert made.package.token != first.token
    before, now = packages.served(first.token), packages.served(made.package.token)
    assert (before and before.version, now and now.version) == ("2.1", "2.2")
    assert packages.served("x" * 43) is None


def test_tablets_hear_of_a_package_once_it_is_taken(app: Flask, files: PackageFiles, tmp_path: Path) -> None:
    with transaction():
        tablet = make.enrolled(make.school())
        make.assign(make.published(**{"apps.required": [WEATHER]}), Place.municipality())  # type: ignore[arg-type]

    def version() -> int:
        db.session.expire_all()
        return db.session.get_one(DeviceState, tablet.id).config_version

    before = version()
    source = ipa(tmp_path / "a.ipa")
    taken(files, source)
    assert version() == before + 1
    taken(files, source)
    assert version() == before + 1
    with transaction():
        packages.withdraw(catalogue.find(WEATHER, IPAD), by=BY, now=NOW)
    assert version() == before + 2
    assert catalogue.sources(IPAD, [WEATHER])[WEATHER].package is None
    assert len(make.audited(action="apps.package-withdrawn")) == 1
    with pytest.raises(NotFoundError), transaction():
        packages.withdraw(catalogue.find(WEATHER, IPAD), by=BY, now=NOW)


def test_who_may_not_write_profiles_sends_no_package(app: Flask, files: PackageFiles, tmp_path: Path) -> None:
    by = Principal("account", "1", grants=(Grant(Role.SCHOOL_IT, None),))
    source = ipa(tmp_path / "a.ipa")
    with pytest.raises(ForbiddenError):
        packages.receive(source, files, by=by)
    received = packages.receive(source, files, by=BY)
    with pytest.raises(ForbiddenError), transaction():
        packages.take(received, by=by, now=NOW)


def test_nothing_is_kept_of_what_is_refused(app: Flask, files: PackageFiles, tmp_path: Path) -> None:
    source = ipa(tmp_path / "a.ipa", _Identifier="vaer")
    with pytest.raises(PackageError):
        packages.receive(source, files, by=BY)
    assert not files.path("x").parent.exists()
    with pytest.raises(PackageError), files.draft(source) as draft:
        read_package(draft.path)
    assert kept(files) == set()


def old(files: PackageFiles) -> None:
    """Have all that is kept be older than what a sweep leaves alone."""
    for path in files.path("x").parent.iterdir():
        os.utime(path, ((NOW - YOUNGEST - DAY).timestamp(),) * 2)


def test_files_that_no_package_has_are_removed_but_not_young_ones(
    app: Flask, files: PackageFiles, tmp_path: Path
) -> None:
    made = taken(files, ipa(tmp_path / "a.ipa")).package
    assert made is not None
    packages.receive(ipa(tmp_path / "b.ipa", _Version="1"), files, by=BY)
    folder = files.path("x").parent
    (folder / f".{'0' * 32}").write_bytes(b"left behind")
    (folder / "README").write_bytes(b"not ours")
    assert packages.forget(files, now=NOW) == 0
    old(files)
    assert packages.forget(files, now=NOW) == 2
    assert kept(files) == {made.digest, "README"}
    assert packages.forget(files, now=NOW) == 0


def test_what_is_sent_again_counts_as_young(app: Flask, files: PackageFiles, tmp_path: Path) -> None:
    source = ipa(tmp_path / "a.ipa")
    packages.receive(source, files, by=BY)
    old(files)
    received = packages.receive(source, files, by=BY)
    assert files.path(received.digest).stat().st_mtime > (NOW - YOUNGEST).timestamp()


def test_a_replaced_package_stays_as_long_as_tablets_may_fetch_it(
    app: Flask, files: PackageFiles, tmp_path: Path
) -> None:
    first = taken(files, ipa(tmp_path / "a.ipa")).package
    second = taken(files, ipa(tmp_path / "b.ipa", _Version="1")).package
    assert first is not None
    assert second is not None
    gone, stays = first.digest, second.digest
    old(files)
    with transaction():
        assert packages.forget(files, now=NOW + packages.KEEP_REPLACED) == 0
        later = NOW + packages.KEEP_REPLACED + DAY
        assert packages.forget(files, now=later) == 1  # the row, and at the next run its file
    assert kept(files) == {gone, stays}
    with transaction():
        assert packages.forget(files, now=later) == 1
    assert kept(files) == {stays}


def test_an_app_goes_with_its_packages(app: Flask, files: PackageFiles, tmp_path: Path) -> None:
    made = taken(files, ipa(tmp_path / "a.ipa"))
    with transaction():
        named.remove_app(made, by=BY, now=NOW)
    assert db.session.query(AppPackage).count() == 0
