"""Packages for Android tablets: by processor, of one signer, never backwards; and which of them a tablet gets."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.apps import catalogue, packages
from fleet.apps.catalogue import AndroidPackage, Told
from fleet.apps.facts import PackageError
from fleet.apps.files import PackageFiles
from fleet.apps.models import App
from fleet.apps.packages import OlderPackageError, OtherSignerError
from fleet.db import db, transaction
from fleet.devices.models import Platform
from fleet.errors import NotFoundError
from tests import apks
from tests import factories as make
from tests.apks import BOARD, signer
from tests.conftest import NOW
from tests.packages import ipa
from tests.pictures import png

BY = Principal.command_line()
ANDROID = Platform.ANDROID


@pytest.fixture
def files(tmp_path: Path) -> PackageFiles:
    return PackageFiles(tmp_path / "packages")


@pytest.fixture
def taken(app: Flask, files: PackageFiles, tmp_path: Path) -> Any:
    def take(**told: Any) -> App:
        received = packages.receive(apks.apk(tmp_path / "Tavla.apk", **told), files, by=BY)
        with transaction():
            return packages.take(received, by=BY, now=NOW)

    return take


def cpus(app: App) -> list[tuple[str, str]]:
    return [(one.cpu, one.build) for one in app.packages]


def test_a_package_takes_up_its_app_and_is_where_tablets_get_it(files: PackageFiles, taken: Any) -> None:
    made = taken(abis=["arm64-v8a"])
    assert (made.app_id, made.platform, made.name, made.store_id) == (BOARD, ANDROID, "Tavla", None)
    assert made.icon == png(144, 144) + b"\0" * 200
    (found,) = made.packages
    assert (found.kind, found.cpu, found.certificate, found.minimum_os) == ("apk", "arm64-v8a", signer().name, "8.0")
    assert files.path(found.digest).stat().st_size == found.size_bytes
    assert catalogue.android_packages([BOARD, "no.example.other"]) == {
        BOARD: [
            AndroidPackage(
                "Tavla", found.token, "1.2", 7, found.digest, found.size_bytes, "arm64-v8a", "apk", signer().name, NOW
            )
        ]
    }
    served = packages.served(found.token)
    assert served is not None
    assert (served.app_id, served.kind, served.cpu, served.file_name) == (BOARD, "apk", "arm64-v8a", "Tavla.apk")
    assert len(make.audited(action="apps.package-taken")) == 1


def test_packages_for_several_processors_stand_side_by_side(taken: Any) -> None:
    taken(abis=["armeabi-v7a"], code=7)
    taken(abis=["arm64-v8a"], code=8)
    made = taken(code=7)
    assert cpus(made) == [("", "7"), ("arm64-v8a", "8"), ("armeabi-v7a", "7")]
    assert taken(abis=["arm64-v8a"], code=8) is made
    assert len(make.audited(action="apps.package-taken")) == 3
    assert cpus(taken(abis=["arm64-v8a"], code=9)) == [("", "7"), ("arm64-v8a", "9"), ("armeabi-v7a", "7")]
    with transaction():
        packages.withdraw(made, by=BY, now=NOW, cpu="")
    assert [one for one, _build in cpus(made)] == ["arm64-v8a", "armeabi-v7a"]
    with pytest.raises(NotFoundError), transaction():
        packages.withdraw(made, by=BY, now=NOW, cpu="x86")
    with transaction():
        packages.withdraw(made, by=BY, now=NOW)
    assert made.packages == []
    assert catalogue.android_packages([BOARD]) == {}
    assert len(make.audited(action="apps.package-withdrawn")) == 3


def test_a_newer_package_that_suits_them_all_takes_the_place_of_those_for_one_processor(taken: Any) -> None:
    for abi in ("arm64-v8a", "armeabi-v7a", "x86"):
        taken(abis=[abi], code=7)
    assert cpus(taken(abis=["arm64-v8a", "armeabi-v7a"], code=7)) == [
        ("", "7"), ("arm64-v8a", "7"), ("armeabi-v7a", "7"), ("x86", "7"),
    ]  # fmt: skip
    assert cpus(taken(abis=["arm64-v8a", "armeabi-v7a"], code=8)) == [("", "8"), ("x86", "7")]
    assert cpus(taken(code=9)) == [("", "9")]


def test_a_package_of_another_signer_is_refused_for_every_processor(taken: Any, files: PackageFiles) -> None:
    taken(abis=["arm64-v8a"])
    for abis in (["arm64-v8a"], ["x86"], []):
        with pytest.raises(OtherSignerError) as caught:
            taken(by=signer("another"), abis=abis, code=9)
        assert caught.value.data == {"name": "Tavla"}
    made = catalogue.find(BOARD, ANDROID)
    with transaction():
        packages.withdraw(made, by=BY, now=NOW)
    assert cpus(taken(by=signer("another"))) == [("", "7")]


def test_an_older_package_is_refused_and_one_of_the_same_number_taken(taken: Any) -> None:
    taken(code=8, version="2.0")
    for abis in ([], ["arm64-v8a"]):  # whose tablets have the other now
        with pytest.raises(OlderPackageError) as caught:
            taken(code=7, abis=abis)
        assert caught.value.data == {
            "name": "Tavla", "version": "1.2", "build": "7", "current_version": "2.0", "current_build": "8",
        }  # fmt: skip
    assert taken(code=8, version="2.0.1").packages[0].version == "2.0.1"
    assert taken(code=2**31 - 1).packages[0].version == "1.2"


def test_a_bundle_takes_the_place_of_a_package(app: Flask, taken: Any, files: PackageFiles, tmp_path: Path) -> None:
    taken()
    received = packages.receive(apks.xapk(tmp_path / "Tavla.apk"), files, by=BY)  # its name says something else
    with transaction():
        made = packages.take(received, by=BY, now=NOW)
    assert [(one.kind, one.cpu) for one in made.packages] == [("xapk", "")]


def test_an_ipads_app_of_the_same_id_is_another(app: Flask, taken: Any, files: PackageFiles, tmp_path: Path) -> None:
    made = taken()
    received = packages.receive(ipa(tmp_path / "a.ipa", _Identifier=BOARD), files, by=BY)
    with transaction():
        other = packages.take(received, by=BY, now=NOW)
    assert (other.platform, other.id != made.id, len(made.packages)) == (Platform.IPADOS, True, 1)
    assert catalogue.android_packages([BOARD])[BOARD][0].kind == "apk"
    assert catalogue.sources(Platform.IPADOS, [BOARD])[BOARD].package is not None
    assert catalogue.known_android() == frozenset({BOARD})


def test_all_apps_for_android_are_known_with_and_without_packages(app: Flask, taken: Any) -> None:
    taken()
    with transaction():
        catalogue.add("no.example.system", ANDROID, Told("Kamera"), by=BY, now=NOW)
        catalogue.add("no.example.ipad", Platform.IPADOS, Told("Maling"), by=BY, now=NOW)
    assert catalogue.known_android() == {BOARD, "no.example.system"}


def test_nothing_is_kept_of_what_is_refused(files: PackageFiles, taken: Any) -> None:
    with pytest.raises(PackageError):
        taken(scheme="none")
    assert not files.path("x").parent.exists()
    assert db.session.query(App).count() == 0


ANY = AndroidPackage("Tavla", "t", "1", 1, "d", 1, "", "apk")


@pytest.mark.parametrize(
    ("there", "tablet", "gets"),
    [
        (["", "arm64-v8a", "armeabi-v7a"], "arm64-v8a", "arm64-v8a"), (["", "armeabi-v7a"], "arm64-v8a", ""),
        (["armeabi-v7a", "x86"], "arm64-v8a", "armeabi-v7a"), (["armeabi-v7a", "x86"], "x86_64", "x86"),
        (["arm64-v8a"], "armeabi-v7a", None), (["arm64-v8a"], "x86_64", None), (["", "x86"], "mips", ""),
        (["arm64-v8a"], "", None), ([""], None, ""), (["arm64-v8a", ""], "", ""), ([], "arm64-v8a", None),
    ],
)  # fmt: skip
def test_a_tablet_gets_the_package_that_suits_its_processor(
    there: list[str], tablet: str | None, gets: str | None
) -> None:
    found = catalogue.for_cpu([replace(ANY, cpu=one) for one in there], tablet)
    assert (found.cpu if found is not None else None) == gets
