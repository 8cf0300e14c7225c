"""``fleet apps`` and ``fleet images``: from a first app to what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from fleet.apps.files import PackageFiles
from fleet.db import transaction
from tests import apks
from tests import factories as make
from tests.doors.fleet_command import run
from tests.packages import ipa
from tests.pictures import jpeg, png

PAINT = "no.example.paint"
PAGE = "https://apps.apple.com/no/app/maling/id123456789"


def done(app: Flask, *words: str | Path) -> str:
    result = run(app, *words)
    assert result.exit_code == 0, result.output
    return result.output


def refused(app: Flask, code: int, *words: str | Path) -> str:
    result = run(app, *words)
    assert result.exit_code == code, result.output
    return result.output


def listed(app: Flask, noun: str = "apps") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done(app, noun, "list", "--json"))
    return found


def added(app: Flask, *more: str) -> str:
    return done(app, "apps", "add", "--id", PAINT, "--name", "Maling", *more)


def requiring(key: str, value: Any) -> None:
    with transaction():
        make.published("barnetrinn", **{key: value})


def test_an_app_is_added_changed_shown_and_removed(app: Flask) -> None:
    assert added(app, "--store-id", PAGE, "--licensed") == f"{PAINT}: Maling\n"
    (shown,) = listed(app)
    assert shown.pop("changed_at")
    assert shown == {
        "id": PAINT, "name": "Maling", "platform": "ipados", "store_id": 123456789, "licensed": True, "package": None, "packages": [],
        "required_by": [],
    }  # fmt: skip
    done(app, "apps", "change", PAINT, "--name", "Mal", "--not-licensed")
    told = json.loads(done(app, "apps", "show", PAINT, "--json"))
    assert (told["name"], told["licensed"], told["store_id"]) == ("Mal", False, 123456789)
    done(app, "apps", "change", PAINT, "--store-id", "")
    assert "store id              -" in done(app, "apps", "show", PAINT)
    assert PAINT in done(app, "apps", "list", "--platform", "ipados")
    assert PAINT not in done(app, "apps", "list", "--platform", "android")
    done(app, "apps", "remove", PAINT)
    assert listed(app) == []


def test_apps_of_other_platforms_stand_beside(app: Flask) -> None:
    added(app)
    added(app, "--platform", "android")
    assert len(listed(app)) == 2
    assert "Maling" in done(app, "apps", "show", PAINT, "--platform", "android")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("add", "--id", "paint", "--name", "x"), 1, "'paint' is no app id"),
        (("add", "--id", PAINT, "--name", "x"), 1, "is in the catalogue already"),
        (("add", "--id", "no.example.x", "--name", ""), 1, "1 to 120 characters"),
        (("add", "--id", "no.example.x", "--name", "x", "--store-id", "abc"), 1, "no number in the App Store"),
        (("add", "--id", "no.example.x", "--name", "x", "--platform", "windows"), 2, "not one of"),
        (("show", "no.example.pant"), 3, f"nearest: {PAINT}"),
        (("change", PAINT, "--no-package"), 3, "no package of our own"),
        (("remove", PAINT), 1, "required by barnetrinn: change those first"),
    ],
)
def test_what_is_refused_says_why(app: Flask, words: tuple[str, ...], code: int, told: str) -> None:
    added(app)
    requiring("apps.required", [PAINT])
    assert told in refused(app, code, "apps", *words)


def test_the_list_says_where_tablets_get_apps_and_who_requires_them(app: Flask) -> None:
    added(app, "--store-id", "123")
    requiring("apps.required", [PAINT])
    lines = done(app, "apps", "list").splitlines()
    assert lines[1].split("  ")[-1] == "barnetrinn"
    assert "store 123" in lines[1]


def test_a_package_is_uploaded_and_done_without_again(app: Flask, tmp_path: Path) -> None:
    source = ipa(tmp_path / "vaer.ipa")
    assert done(app, "apps", "upload", source) == "no.example.vaer: Været 2.1 (2103)\n"
    told = json.loads(done(app, "apps", "upload", source, "--json"))
    files = PackageFiles(app.extensions["fleet_config"].packages_dir)
    assert files.path(told["package"]["digest"]).read_bytes() == source.read_bytes()
    assert "own package 2.1" in done(app, "apps", "list")
    assert "package minimum os    16.0" in done(app, "apps", "show", "no.example.vaer")
    done(app, "apps", "change", "no.example.vaer", "--no-package")
    assert listed(app)[0]["package"] is None


def test_androids_packages_stand_side_by_side_by_processor(app: Flask, tmp_path: Path) -> None:
    def uploaded(**told: Any) -> str:
        return done(app, "apps", "upload", apks.apk(tmp_path / "tavle.apk", **told))

    assert uploaded(abis=["arm64-v8a"], code=8) == f"{apks.BOARD}: Tavla 1.2 (8), for arm64-v8a\n"
    assert done(app, "apps", "upload", apks.xapk(tmp_path / "tavle.xapk")) == f"{apks.BOARD}: Tavla 1.2 (7)\n"
    (row,) = listed(app)
    told = [(one["cpu"], one["kind"], one["certificate"]) for one in row["packages"]]
    assert told == [("", "xapk", apks.signer().name), ("arm64-v8a", "apk", apks.signer().name)]
    assert "own package 1.2, 1.2 (arm64-v8a)" in done(app, "apps", "list")
    android = ("--platform", "android")
    shown = done(app, "apps", "show", apks.BOARD, *android)
    assert "package cpu           arm64-v8a" in shown
    assert "package kind          xapk" in shown
    assert "older than the present 1.2 (8)" in refused(
        app, 1, "apps", "upload", apks.apk(tmp_path / "a.apk", abis=["arm64-v8a"])
    )
    done(app, "apps", "change", apks.BOARD, *android, "--cpu", "arm64-v8a")
    assert [one["cpu"] for one in listed(app)[0]["packages"]] == [""]
    other = apks.apk(tmp_path / "a.apk", code=9, by=apks.signer("another"))
    assert "another key signed" in refused(app, 1, "apps", "upload", other)
    done(app, "apps", "change", apks.BOARD, *android, "--no-package")
    assert listed(app)[0]["packages"] == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"scheme": "none"}, "nobody has signed"), ({"manifest_": b"x"}, "AndroidManifest.xml"),
        ({"outer": {"split": "x"}}, "a part of an app"), ({"inner": {apks.TEST_ONLY: True}}, "for tests only"),
        ({"outer": {"package": "tavle"}}, "no sound package"),
    ],
)  # fmt: skip
def test_a_package_for_android_that_is_none_is_refused(
    app: Flask, tmp_path: Path, told: dict[str, Any], said: str
) -> None:
    assert said in refused(app, 1, "apps", "upload", apks.apk(tmp_path / "a.apk", **told))
    (tmp_path / "text.apk").write_text("no package")
    assert "an .apk or .xapk for Android" in refused(app, 1, "apps", "upload", tmp_path / "text.apk")
    assert listed(app) == []


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"_Identifier": "vaer"}, "no sound CFBundleIdentifier"),
        ({"_SupportedPlatforms": ["iPhoneSimulator"]}, "made for another platform"),
        ({"more": {"../x": b""}}, "no package that one can trust"),
    ],
)
def test_a_package_that_is_none_is_refused(app: Flask, tmp_path: Path, info: dict[str, Any], told: str) -> None:
    assert told in refused(app, 1, "apps", "upload", ipa(tmp_path / "vaer.ipa", **info))
    assert listed(app) == []


def test_images_are_uploaded_replaced_and_removed(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "skog.png").write_bytes(png(64, 32))
    (tmp_path / "hav.jpg").write_bytes(jpeg(3, 4))
    assert done(app, "images", "upload", tmp_path / "skog.png") == "skog.png: 64 x 32, image/png\n"
    assert "add --replace" in refused(app, 1, "images", "upload", tmp_path / "hav.jpg", "--name", "skog.png")
    done(app, "images", "upload", tmp_path / "hav.jpg", "--name", "skog.png", "--replace")
    done(app, "images", "upload", tmp_path / "hav.jpg", "--replace")
    assert [(one["name"], one["media_type"], one["shown_by"]) for one in listed(app, "images")] == [
        ("hav.jpg", "image/jpeg", []), ("skog.png", "image/jpeg", []),
    ]  # fmt: skip
    requiring("wallpaper.image", "skog.png")
    assert "3 x 4" in done(app, "images", "list")
    assert "shown by barnetrinn" in refused(app, 1, "images", "remove", "skog.png")
    done(app, "images", "remove", "hav.jpg")
    assert "nearest: skog.png" in refused(app, 3, "images", "remove", "skogpng")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.png", b"<svg/>", "no PNG or JPEG"), ("å.png", png(), "letters from A to Z"),
        ("a.png", png(9_000, 1), "8192 pixels"), ("a.png", png() + b"\0" * 2**22, "4194304 bytes"),
        ("a.png", png()[:20], "damaged"),
    ],
)  # fmt: skip
def test_pictures_that_are_none_are_refused(app: Flask, tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert told in refused(app, 1, "images", "upload", tmp_path / name)
