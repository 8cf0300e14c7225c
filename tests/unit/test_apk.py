"""What is read of Android's packages, and that one which means harm is refused, quickly and in so many words."""

import functools
import io
import struct
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fleet.apps import apk, archives, icons, reading, xapk
from fleet.apps.chunks import STRING_POOL, DamagedError, StringPool, whole
from fleet.apps.facts import Facts, PackageError
from tests import apks
from tests.apks import BOARD, CODE, CODE_MAJOR, ICON, LABEL, LARGE, TEST_ONLY, VERSION, Ref, signer
from tests.packages import ipa
from tests.pictures import jpeg, png


def reason(path: Path) -> str:
    with pytest.raises(PackageError) as caught:
        reading.read(path)
    return str(caught.value.data["reason"])


@pytest.mark.parametrize("scheme", ["v1", "v2", "v3"])
@pytest.mark.parametrize("is_utf8", [True, False])
def test_a_package_says_what_it_is_and_who_signed_it(tmp_path: Path, scheme: str, *, is_utf8: bool) -> None:
    found = reading.read(apks.apk(tmp_path / "a.apk", scheme=scheme, is_utf8=is_utf8, abis=["arm64-v8a"]))
    icon = png(144, 144) + b"\0" * 200
    cpus = frozenset({"arm64-v8a"})
    assert found == Facts(BOARD, "Tavla", "1.2", "7", "8.0", "apk", "arm64-v8a", signer().name, icon, cpus)


@pytest.mark.parametrize("is_utf8", [True, False])
@pytest.mark.parametrize(("form", "is_compact"), [("", False), ("sparse", False), ("short", True)])
def test_names_and_icons_are_found_in_each_form_of_the_table(
    tmp_path: Path, form: str, *, is_compact: bool, is_utf8: bool
) -> None:
    table = apks.usual_table(is_utf8=is_utf8, form=form, is_compact=is_compact)
    outer = {VERSION: Ref(apks.VERSION_REFERENCE)}
    found = apk.read(apks.apk(tmp_path / "a.apk", table_=table, outer=outer))
    assert (found.name, found.version) == ("Tavla", "3.1")
    assert found.icon is not None


def test_a_name_comes_in_norwegian_where_there_is_one_and_through_references(tmp_path: Path) -> None:
    def named(*languages: str) -> str:
        types = [apks.entries(1, [apks.entry(number)], language=one) for number, one in enumerate(languages)]
        types.append(apks.entries(2, [apks.entry(Ref(0x7F010000))]))
        table = apks.table([f"in {one or 'its own'}" for one in languages], types)
        return apk.read(apks.apk(tmp_path / "a.apk", table_=table, inner={LABEL: Ref(0x7F020000)})).name

    assert named("de", "", "no", "nb") == "in nb"
    assert named("de", "", "no") == "in no"
    assert named("de", "", "nn") == "in its own"
    assert named("de") == "in de"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"inner": {LABEL: "Skrevet her"}}, {"name": "Skrevet her"}),
        ({"inner": {LABEL: None}}, {"name": BOARD}),
        ({"inner": {LABEL: Ref(0x7F0100FF)}}, {"name": BOARD}),
        ({"inner": {LABEL: "a\u202eb"}}, {"name": BOARD}),
        ({"inner": {LABEL: "x" * 121}}, {"name": BOARD}),
        ({"table_": b"no table"}, {"name": BOARD, "icon": None}),
        ({"inner": {ICON: None}}, {"icon": None}),
        ({"more": {LARGE: jpeg()}}, {"icon": png(48, 48)}),
        ({"more": {LARGE: png(9_000, 9_000) + b"\0" * 400}}, {"icon": png(48, 48)}),
        ({"more": {LARGE: png() + b"\0" * icons.MAX_BYTES}}, {"icon": png(48, 48)}),
        ({"outer": {VERSION: None}}, {"version": "7"}),
        ({"outer": {CODE_MAJOR: 2}}, {"build": str(2 << 32 | 7)}),
        ({"minimum": None}, {"minimum_os": None}),
        ({"minimum": "Tiramisu"}, {"minimum_os": None}),
        ({"minimum": 19}, {"minimum_os": None}),
        ({"minimum": 34}, {"minimum_os": "14"}),
        ({"minimum": 99}, {"minimum_os": "API 99"}),
        ({"abis": ["armeabi"]}, {"cpu": "armeabi-v7a"}),
        ({"abis": ["arm64-v8a", "x86_64"]}, {"cpu": ""}),
        ({"abis": ["of-ours"]}, {"cpu": ""}),
    ],
)
def test_what_is_left_out_or_not_sound_has_something_in_its_place(
    tmp_path: Path, told: dict[str, Any], expected: dict[str, Any]
) -> None:
    if "more" in told:  # in the place of another: a zip may not have it twice
        content = {apks.SMALL: png(48, 48), **told.pop("more")}
        path = tmp_path / "a.apk"
        members = {"AndroidManifest.xml": apks.manifest(), "resources.arsc": apks.usual_table(), **content}
        path.write_bytes(apks.with_block(apks.packed(members), apks.signing_block(signer().der)))
    else:
        path = apks.apk(tmp_path / "a.apk", **told)
    found = reading.read(path)
    assert {key: getattr(found, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("outer", "key"),
    [
        ({"package": None}, "package"), ({"package": "tavle"}, "package"), ({"package": "a.b/../c"}, "package"),
        ({"package": Ref(1)}, "package"), ({CODE: None}, "versionCode"), ({CODE: "seven"}, "versionCode"),
        ({CODE_MAJOR: 2**31}, "versionCode"), ({VERSION: "1" * 65}, "versionName"), ({VERSION: "1\0002"}, "versionName"),
    ],
)  # fmt: skip
def test_what_is_not_sound_is_named(tmp_path: Path, outer: dict[Any, Any], key: str) -> None:
    with pytest.raises(PackageError) as caught:
        reading.read(apks.apk(tmp_path / "a.apk", outer=outer))
    assert caught.value.data == {"reason": "key", "key": key}


def test_a_part_of_an_app_and_one_for_tests_are_refused(tmp_path: Path) -> None:
    assert reason(apks.apk(tmp_path / "a.apk", outer={"split": "config.nb"})) == "split"
    assert reason(apks.apk(tmp_path / "a.apk", inner={TEST_ONLY: True})) == "test-only"
    assert apk.read(apks.apk(tmp_path / "a.apk", inner={TEST_ONLY: False})).app_id == BOARD


def test_a_package_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    assert reason(apks.apk(tmp_path / "a.apk", scheme="none")) == "signature"


@pytest.mark.parametrize(
    "block",
    [
        struct.pack("<Q16s", 2**40, b"APK Sig Block 42"),
        struct.pack("<Q16s", 2**63, b"APK Sig Block 42"),
        struct.pack("<Q16s", 8, b"APK Sig Block 42"),
        apks.signing_block(b"no certificate"),
        apks.signing_block(b""),
        apks.signing_block(b"\x30" * 70_000),
        b"\0" * 8 + apks.signing_block(b"\x30\0")[8:],
        struct.pack("<QQI", 40, 2**60, apks.V2) + b"\0" * 4 + struct.pack("<Q16s", 40, b"APK Sig Block 42"),
        struct.pack("<QQII", 40, 8, apks.V2, 2**31) + struct.pack("<Q16s", 40, b"APK Sig Block 42"),
    ],
)
def test_a_signing_block_that_is_not_sound_is_refused(tmp_path: Path, block: bytes) -> None:
    path = tmp_path / "a.apk"
    path.write_bytes(apks.with_block(apks.apk_bytes(scheme="none"), block))
    assert reason(path) == "signature"
    path.write_bytes(apks.apk_bytes(scheme="none", more={"META-INF/A.RSA": block}))
    assert reason(path) == "signature"


def test_an_older_signature_names_the_key_that_was_there_first(tmp_path: Path) -> None:
    old, new = signer("old"), signer("new")
    both = apks.signing_block(old.der)[8:-24] + apks.signing_block(new.der, apks.V3, after=old.der)[8:-24]
    size = struct.pack("<Q", len(both) + 24)
    path = tmp_path / "a.apk"
    path.write_bytes(apks.with_block(apks.apk_bytes(scheme="v1", by=new), size + both + size + b"APK Sig Block 42"))
    assert reading.read(path).certificate == old.name


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b"<manifest package='no.example.tavle'/>", struct.pack("<HHI", 3, 8, 8),
        struct.pack("<HHI", 3, 8, 2**31), struct.pack("<HHI", 3, 8, 16) + struct.pack("<HHI", 1, 8, 8),
        struct.pack("<HHI", 3, 8, 16) + struct.pack("<HHI", 0, 0, 0),
        apks.chunk(3, b"", apks.chunk(0x0102, b"\0" * 8, b"\0" * 20)),
        apks.chunk(3, b"", apks.pool(["manifest"]) + apks.chunk(0x0102, b"\0" * 8, struct.pack("<IIHHHHHH", 0, 9, 20, 20, 0, 0, 0, 0))),
        apks.chunk(3, b"", apks.pool(["manifest"]) + apks.chunk(0x0102, b"\0" * 8, struct.pack("<IIHHHHHH", 0, 0, 20, 20, 9, 0, 0, 0))),
        apks.chunk(3, b"", apks.pool(["manifest"]) + apks.chunk(0x0102, b"\0" * 8, struct.pack("<IIHHHHHH", 0, 0, 20, 0, 65535, 0, 0, 0))),
        apks.chunk(3, b"", apks.chunk(0x0180, b"") * 70_000),
    ],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    assert reason(apks.apk(tmp_path / "a.apk", manifest_=content)) == "manifest"


def test_a_manifest_that_grows_while_it_is_unpacked_is_given_up(tmp_path: Path) -> None:
    path = apks.apk(tmp_path / "a.apk", manifest_=b"\0" * (100 * 2**20))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    assert reason(path) == "manifest"
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()


def test_a_huge_pool_of_strings_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    strings = 1_900_000
    head = struct.pack("<5I", strings, 0, 0x100, 28 + 4 * strings, 0)
    large = apks.chunk(0x0001, head, b"\0" * 4 * strings + b"\x08\x08manifest\0\0\0\0")
    begun = apks.chunk(0x0102, b"\0" * 8, struct.pack("<IIHHHHHH", 0, 0, 20, 20, 0, 0, 0, 0))
    path = apks.apk(tmp_path / "a.apk", manifest_=apks.chunk(3, b"", large + begun * 20_000))
    at = time.monotonic()
    tracemalloc.start()
    assert reason(path) == "key"  # read, and there is no package's name
    assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    tracemalloc.stop()
    assert time.monotonic() - at < 10


def test_references_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    types = [apks.entries(number, [apks.entry(Ref(0x7F030000 - (number << 16)))] * 3) for number in (1, 2)] * 900
    path = apks.apk(tmp_path / "a.apk", table_=apks.table([], types))
    found = reading.read(path)
    assert (found.name, found.icon) == (BOARD, None)


@pytest.mark.parametrize("is_utf8", [True, False])
def test_long_strings_are_told_with_their_lengths_and_wrong_ones_are_refused(*, is_utf8: bool) -> None:
    data = apks.pool(["å" * 200, "b" * 16_000, "c" * 33_000 if not is_utf8 else "c"], is_utf8=is_utf8)
    pool = StringPool(data, whole(data, STRING_POOL))
    assert (pool.text(0), len(pool.text(1))) == ("å" * 200, 16_000)
    for number in (-1, 3) if is_utf8 else (2, 3):
        with pytest.raises(DamagedError):
            pool.text(number)


def lying(content: bytes, size: int) -> bytes:
    """Return a zip whose list says of each member that it has that size."""
    changed = bytearray(content)
    for mark, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = changed.find(mark)
        while start >= 0:
            struct.pack_into("<I", changed, start + place, size)
            start = changed.find(mark, start + 4)
    return bytes(changed)


@pytest.mark.parametrize("size", [0, 10])
def test_sizes_that_are_not_true_are_found_out(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.apk"
    path.write_bytes(lying(apks.apk_bytes(), size))
    assert reason(path) in {"not-a-zip", "manifest", "key"}


def test_what_says_that_it_is_very_long_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.apk"
    path.write_bytes(lying(apks.apk_bytes(), 2**31))
    found = reading.read(path)
    assert (found.app_id, found.name, found.icon) == (BOARD, BOARD, None)


def test_a_list_of_members_that_is_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.apk"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        package.writestr("AndroidManifest.xml", apks.manifest())
        for number in range(archives.MAX_MEMBERS):
            package.writestr(zipfile.ZipInfo(str(number)), b"")
    path.write_bytes(made.getvalue())
    assert reason(path) == "many"


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "lib/../../x", "lib\\x"])
def test_names_that_lead_out_of_the_package_are_refused(tmp_path: Path, name: str) -> None:
    assert reason(apks.apk(tmp_path / "a.apk", more={name: b"x"})) == "path"


def test_two_manifests_are_refused_and_so_is_one_that_is_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "a.apk"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("AndroidManifest.xml", apks.manifest())
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr("AndroidManifest.xml", apks.manifest(outer={"package": "no.example.other"}))
    assert reason(path) == "several"
    content = bytearray(apks.apk_bytes())
    content[content.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert reason(path) == "encrypted"


def test_what_a_file_is_its_content_says_and_not_its_name(tmp_path: Path) -> None:
    assert reading.read(ipa(tmp_path / "a.apk")).kind == "ipa"
    assert reading.read(apks.apk(tmp_path / "a.ipa")).kind == "apk"
    assert reading.read(apks.xapk(tmp_path / "b.apk")).kind == "xapk"
    (tmp_path / "c.apk").write_text("This is a text.\n" * 100)
    assert reason(tmp_path / "c.apk") == "not-a-zip"
    (tmp_path / "c.apk").write_bytes(apks.packed({"readme.txt": b"x"}))
    assert reason(tmp_path / "c.apk") == "no-payload"
    assert reason(ipa(tmp_path / "d.ipa", more={"AndroidManifest.xml": apks.manifest()})) == "several"
    assert reason(tmp_path) == "not-a-zip"


def test_a_bundle_says_what_the_package_in_it_says(tmp_path: Path) -> None:
    found = reading.read(apks.xapk(tmp_path / "a.xapk"))
    assert found == Facts(BOARD, "Tavla", "1.2", "7", "8.0", "xapk", "", signer().name, png(144, 144) + b"\0" * 200)
    parts = [{"file": "base.apk", "id": "base"}, {"file": "c.apk", "id": "config.arm64_v8a"}]
    more = {
        "base.apk": apks.apk_bytes(table_=b"", inner={LABEL: None}),
        "c.apk": b"",
    }
    found = reading.read(apks.xapk(tmp_path / "a.xapk", more=more, split_apks=parts, name="Utenpå", version_code=7))
    assert (found.name, found.cpu, found.icon) == ("Utenpå", "arm64-v8a", png(64, 64))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"package_name": "no.example.other"}, "names"), ({"version_code": "8"}, "names"),
        ({"version_code": [7]}, "names"), ({"package_name": None}, "manifest"), ({"split_apks": {}}, "manifest"),
        ({"split_apks": [7]}, "manifest"), ({"split_apks": [{"file": "gone.apk", "id": "base"}]}, "manifest"),
        ({"split_apks": [{"file": "../a.apk", "id": "base"}]}, "manifest"),
        ({"inner": b"no zip"}, "not-a-zip"), ({"inner": apks.packed({"x": b""})}, "no-payload"),
        ({"inner": apks.apk_bytes(scheme="none")}, "signature"), ({"inner": b"\0" * 2**26}, "bomb"),
        ({"name": 17, "icon": ["x"], "inner": apks.apk_bytes(outer={"split": "x"})}, "split"),
    ],
)  # fmt: skip
def test_a_bundle_that_is_not_sound_is_refused(tmp_path: Path, told: dict[str, Any], said: str) -> None:
    assert reason(apks.xapk(tmp_path / "a.xapk", **told)) == said


def test_a_bundle_in_a_bundle_is_not_opened(tmp_path: Path) -> None:
    inner = apks.xapk(tmp_path / "inner").read_bytes()
    assert reason(apks.xapk(tmp_path / "a.xapk", inner=inner)) == "no-payload"


@pytest.mark.parametrize(
    "content", [b"", b"[", b"[]", b"[" * 100_000, b"{" + b" " * 2**20 + b"}", b"\xff\xfe", b"9" * 5_000]
)
def test_a_bundles_list_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.xapk"
    path.write_bytes(apks.packed({"manifest.json": content, f"{BOARD}.apk": apks.apk_bytes()}))
    assert reason(path) == "manifest"


def test_the_package_in_a_bundle_has_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xapk, "MAX_INNER_BYTES", 1_000)
    assert reason(apks.xapk(tmp_path / "a.xapk")) == "bomb"


def webp(kind: bytes, body: bytes) -> bytes:
    """Return a picture in WebP as far as its header."""
    content = b"WEBP" + kind + struct.pack("<I", len(body)) + body.ljust(16, b"\0")
    return b"RIFF" + struct.pack("<I", len(content)) + content


@pytest.mark.parametrize(
    ("content", "side"),
    [
        (png(96, 48), 96), (png(1_025, 1), 0), (jpeg(), 0), (b"", 0), (b"RIFF", 0), (png()[:12], 0),
        (webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 72, 144)), 144),
        (webp(b"VP8 ", b"\0\0\0\0\0\0" + struct.pack("<HH", 72, 144)), 0),
        (webp(b"VP8L", b"\x2f" + struct.pack("<I", 71 | 143 << 14)), 144),
        (webp(b"VP8X", b"\0" * 4 + (191).to_bytes(3, "little") * 2), 192),
        (webp(b"VP8X", b"\0" * 4 + b"\xff" * 6), 0), (webp(b"ABCD", b""), 0),
        (webp(b"VP8X", b"")[:-4], 0),
    ],
)  # fmt: skip
def test_an_icon_is_a_small_png_or_webp(content: bytes, side: int) -> None:
    assert icons.side(content) == side


@functools.cache
def made_once(make: Callable[[Path], Path]) -> bytes:
    """Return a package, the same for all tries: made anew, its signature may be a byte longer."""
    with tempfile.TemporaryDirectory() as folder:
        return make(Path(folder) / "a").read_bytes()


def broken(make: Callable[[Path], Path], folder: Path, data: some.DataObject) -> Path:
    """Change some bytes of a package."""
    path = folder / "a"
    content = bytearray(made_once(make))
    for place in data.draw(some.lists(some.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(some.integers(0, 255))
    path.write_bytes(content[: data.draw(some.integers(1, len(content)))] if data.draw(some.booleans()) else content)
    return path


@pytest.mark.parametrize("make", [apks.apk, apks.xapk])
@given(data=some.data())
def test_whatever_is_changed_in_a_package_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[[Path], Path], data: some.DataObject
) -> None:
    path = broken(make, tmp_path_factory.mktemp("apk"), data)
    try:
        assert isinstance(reading.read(path), Facts)
    except PackageError as error:
        assert error.data["reason"]  # noqa: PT017 (either is right)


@given(data=some.data())
def test_whatever_is_changed_inside_of_its_members_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: some.DataObject
) -> None:
    """As above, but with sums that are right, so that the readers of what is inside meet it."""
    parts = [apks.manifest(is_utf8=data.draw(some.booleans())), apks.usual_table(), apks.signing_block(signer().der)]
    changed = []
    for one in parts:
        content = bytearray(one)
        for place in data.draw(some.lists(some.integers(0, len(content) - 1), max_size=3)):
            content[place] = data.draw(some.integers(0, 255))
        changed.append(
            bytes(content[: data.draw(some.integers(0, len(content)))] if data.draw(some.booleans()) else content)
        )
    told, table, block = changed
    path = tmp_path_factory.mktemp("apk") / "a"
    path.write_bytes(apks.with_block(apks.apk_bytes(manifest_=told, table_=table, scheme="none"), block))
    try:
        assert isinstance(reading.read(path), Facts)
    except PackageError as error:
        assert error.data["reason"]  # noqa: PT017 (either is right)
