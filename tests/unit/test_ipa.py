"""What is read of an iPad's package, and that one which means harm is refused, quickly and in so many words."""

import io
import plistlib
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fleet.apps import archives
from fleet.apps import ipa as module
from fleet.apps.facts import Facts, PackageError
from tests.packages import APP, ipa

GOOD = Facts("no.example.vaer", "Været", "2.1", "2103", "16.0")


def reason(path: Path) -> str:
    with pytest.raises(PackageError) as caught:
        module.read(path)
    return str(caught.value.data["reason"])


@pytest.mark.parametrize("form", [plistlib.FMT_BINARY, plistlib.FMT_XML])
def test_a_package_says_what_it_is(tmp_path: Path, form: Any) -> None:
    assert module.read(ipa(tmp_path / "a.ipa", form=form)) == GOOD


def test_an_app_inside_the_app_is_not_taken_for_it(tmp_path: Path) -> None:
    inner = plistlib.dumps({"CFBundleIdentifier": "no.example.widget", "CFBundleVersion": "1"})
    more = {f"{APP}/Watch/W.app/Info.plist": inner, f"{APP}/PlugIns/X.appex/Info.plist": inner, "Info.plist": inner}
    assert module.read(ipa(tmp_path / "a.ipa", more=more)) == GOOD


@pytest.mark.parametrize(
    ("info", "facts"),
    [
        ({"_DisplayName": None, "_Name": "Vær"}, Facts("no.example.vaer", "Vær", "2.1", "2103", "16.0")),
        ({"_DisplayName": None}, Facts("no.example.vaer", "no.example.vaer", "2.1", "2103", "16.0")),
        ({"_ShortVersionString": None}, Facts("no.example.vaer", "Været", "2103", "2103", "16.0")),
        ({"_Version": None}, Facts("no.example.vaer", "Været", "2.1", "2.1", "16.0")),
        ({"MinimumOSVersion": "soon"}, Facts("no.example.vaer", "Været", "2.1", "2103", None)),
        (
            {"MinimumOSVersion": None, "_SupportedPlatforms": None},
            Facts("no.example.vaer", "Været", "2.1", "2103", None),
        ),
    ],
)
def test_what_is_left_out_has_something_in_its_place(tmp_path: Path, info: dict[str, Any], facts: Facts) -> None:
    assert module.read(ipa(tmp_path / "a.ipa", **info)) == facts


@pytest.mark.parametrize(
    ("info", "key"),
    [
        ({"_Identifier": None}, "CFBundleIdentifier"),
        ({"_Identifier": "vaer"}, "CFBundleIdentifier"),
        ({"_Identifier": 17}, "CFBundleIdentifier"),
        ({"_Identifier": "no.example/../x"}, "CFBundleIdentifier"),
        ({"_Version": None, "_ShortVersionString": None}, "CFBundleShortVersionString"),
        ({"_Version": 2.1}, "CFBundleVersion"),
        ({"_ShortVersionString": "1" * 65}, "CFBundleShortVersionString"),
        ({"_DisplayName": "x" * 121}, "CFBundleDisplayName"),
        ({"_DisplayName": "a\u202eb"}, "CFBundleDisplayName"),
    ],
)
def test_what_is_not_sound_is_named(tmp_path: Path, info: dict[str, Any], key: str) -> None:
    with pytest.raises(PackageError) as caught:
        module.read(ipa(tmp_path / "a.ipa", **info))
    assert caught.value.data == {"reason": "key", "key": key}


def test_a_package_for_a_simulator_is_refused(tmp_path: Path) -> None:
    assert reason(ipa(tmp_path / "a.ipa", _SupportedPlatforms=["iPhoneSimulator"])) == "platform"


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip" * 100, b"PK\x05\x06" + b"\xff" * 18])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ipa"
    path.write_bytes(content)
    assert reason(path) in {"not-a-zip", "many"}


def test_a_folder_and_a_file_that_is_too_large_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reason(tmp_path) == "not-a-zip"
    path = ipa(tmp_path / "a.ipa")
    monkeypatch.setattr(archives, "MAX_BYTES", path.stat().st_size - 1)
    assert reason(path) == "size"


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", f"{APP}/../../x", "Payload\\x", "Payload/.."])
def test_names_that_lead_out_of_the_package_are_refused(tmp_path: Path, name: str) -> None:
    assert reason(ipa(tmp_path / "a.ipa", more={name: b"x"})) == "path"


def test_a_name_with_something_behind_its_end_is_refused(tmp_path: Path) -> None:
    path = ipa(tmp_path / "a.ipa", more={f"{APP}/Info.plistXhidden": b"x"})
    path.write_bytes(path.read_bytes().replace(b"Info.plistXhidden", b"Info.plist\0hidden"))
    assert reason(path) == "path"


def test_a_package_without_an_app_or_with_two_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "none.ipa", "w") as made:
        made.writestr("Payload/readme.txt", b"x")
        made.writestr("payload/Vaer.app/Info.plist", b"x")
    assert reason(tmp_path / "none.ipa") == "no-payload"
    assert reason(ipa(tmp_path / "two.ipa", more={"Payload/Other.app/Info.plist": b"x"})) == "several"
    with zipfile.ZipFile(tmp_path / "twice.ipa", "w") as made:
        made.writestr(f"{APP}/Info.plist", b"x")
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr(f"{APP}/Info.plist", b"x")
    assert reason(tmp_path / "twice.ipa") == "several"


def test_a_list_of_members_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ipa(tmp_path / "a.ipa", more={f"{APP}/{n}": b"" for n in range(30)})
    monkeypatch.setattr(archives, "MAX_MEMBERS", 30)
    assert reason(path) == "many"
    monkeypatch.setattr(archives, "MAX_DIRECTORY_BYTES", 1_000)
    assert reason(path) == "many"


def test_a_property_list_that_grows_while_it_is_unpacked_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.ipa"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(f"{APP}/Info.plist", b"\0" * (200 * 2**20))
    assert path.stat().st_size < 2**20
    assert reason(path) == "info"


def member(**changes: Any) -> bytes:
    """Return a zip whose property list is entered with these changes."""
    info = zipfile.ZipInfo(f"{APP}/Info.plist")
    for name, value in changes.items():
        setattr(info, name, value)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        package.writestr(info, b"x")
    return made.getvalue()


def test_links_and_unusual_packing_and_encryption_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ipa"
    path.write_bytes(member(external_attr=0o120777 << 16))
    assert reason(path) == "info"
    path.write_bytes(member(compress_type=zipfile.ZIP_BZIP2))
    assert reason(path) == "info"
    content = bytearray(member())
    (place,) = struct.unpack_from("<I", content, len(content) - 6)
    content[place + 8] |= 1  # the list's word that it is encrypted
    path.write_bytes(content)
    assert reason(path) == "encrypted"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b"bplist00" + b"\xff" * 40, plistlib.dumps([1, 2]), b"<?xml version='1.0'?><plist><dict>",
        b"<?xml version='1.0'?><!DOCTYPE plist [<!ENTITY a 'aaaa'>]><plist><dict><key>&a;</key><true/></dict></plist>",
        b"<plist>" + b"<array>" * 50_000,
    ],
)  # fmt: skip
def test_a_property_list_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ipa"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{APP}/Info.plist", content)
    assert reason(path) == "info"


@given(data=some.data())
def test_whatever_is_changed_in_a_package_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: some.DataObject
) -> None:
    path = ipa(tmp_path_factory.mktemp("ipa") / "a.ipa")
    content = bytearray(path.read_bytes())
    for place in data.draw(some.lists(some.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(some.integers(0, 255))
    path.write_bytes(content[: data.draw(some.integers(1, len(content)))] if data.draw(some.booleans()) else content)
    try:
        assert isinstance(module.read(path), Facts)
    except PackageError as error:
        assert error.data["reason"]  # noqa: PT017 (either is right)
