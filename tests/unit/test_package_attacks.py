"""Small packages that would cost much: room on the disk, memory, or time."""

import io
import os
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from fleet.apps import archives, reading
from fleet.apps.arsc import Table
from fleet.apps.facts import PackageError
from tests import apks
from tests.apks import BOARD, LABEL, Ref


def test_a_member_that_says_it_takes_more_room_than_there_is_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much longer it may get follows from the room that it takes, which its sender writes."""
    content = bytearray(apks.xapk(tmp_path / "a.xapk", inner=bytes(2**25)).read_bytes())
    begins = content.rindex(b"PK\x05\x06")
    (listed_at,) = struct.unpack_from("<I", content, begins + 16)
    content[listed_at:listed_at] = os.urandom(2**20)  # so that what unpacks it finds more to read
    struct.pack_into("<I", content, begins + 2**20 + 16, listed_at + 2**20)
    place = content.index(f"{BOARD}.apk".encode(), listed_at + 2**20) - 46
    struct.pack_into("<I", content, place + 20, 2**27)
    (tmp_path / "a.xapk").write_bytes(content)
    monkeypatch.setattr(archives, "_PIECE", 1024)
    with pytest.raises(PackageError) as caught:
        reading.read(tmp_path / "a.xapk")
    assert caught.value.data["reason"] == "bomb"


def test_a_list_of_very_many_members_is_refused_before_each_is_looked_at(tmp_path: Path) -> None:
    one = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *[0] * 9, 1, *[0] * 6) + b"a"
    listed = one * (archives.MAX_DIRECTORY_BYTES // len(one))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(listed), 30, 0)
    (tmp_path / "a.apk").write_bytes(b"PK\x03\x04" + bytes(26) + listed + end)
    tracemalloc.start()
    with pytest.raises(PackageError) as caught:
        reading.read(tmp_path / "a.apk")
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.data["reason"] == "many"
    assert peak < 2.5 * archives.MAX_DIRECTORY_BYTES


def test_as_many_members_as_there_may_be_are_read(tmp_path: Path) -> None:
    made = io.BytesIO(apks.packed({"AndroidManifest.xml": apks.manifest()}))
    with zipfile.ZipFile(made, "a") as package:
        for number in range(2_000):
            package.writestr(f"assets/{number}", b"")
    content = apks.with_block(made.getvalue(), apks.signing_block(apks.signer().der))
    (tmp_path / "a.apk").write_bytes(content)
    assert reading.read(tmp_path / "a.apk").app_id == BOARD


def test_icons_that_are_looked_for_in_very_many_places_are_given_up(tmp_path: Path) -> None:
    """Each of two thousand references leads to a type with two thousand configurations that do not have it."""
    empty = apks.entries(3, [apks.entry(0), *[None] * 4], form="sparse")
    types = [apks.entries(2, [apks.entry(Ref(0x7F030001 + number))]) for number in range(1_900)] + [empty] * 2_000
    content = apks.apk_bytes(table_=apks.table(["x"], types), inner={LABEL: "Tavla"})
    (tmp_path / "a.apk").write_bytes(content)
    begun = time.perf_counter()
    found = reading.read(tmp_path / "a.apk")
    assert (found.name, found.icon) == ("Tavla", None)
    assert time.perf_counter() - begun < 2


def test_very_long_names_of_icons_are_not_gathered(tmp_path: Path) -> None:
    strings = [f"{number}{'x' * 2_000}.png" for number in range(500)]
    types = [apks.entries(2, [apks.entry(number)]) for number in range(500)]
    table = Table(apks.table(strings, types))
    assert table.texts(0x7F020000) == set()


@pytest.mark.parametrize("scheme", [apks.V2, apks.V3, 0x1B93AD61])
def test_a_package_that_says_two_signers_is_refused(tmp_path: Path, scheme: int) -> None:
    """A tablet verifies the first of two alike, and of several kinds the newest alone: the other can be anybody's."""
    own, vendor = apks.signer("own"), apks.signer("vendor")
    pairs = apks.signing_block(own.der, scheme)[8:-24] + apks.signing_block(vendor.der)[8:-24]
    if scheme != apks.V2:
        pairs = apks.signing_block(vendor.der)[8:-24] + apks.signing_block(own.der, scheme)[8:-24]
    size = struct.pack("<Q", len(pairs) + 24)
    content = apks.with_block(apks.apk_bytes(scheme="none"), size + pairs + size + b"APK Sig Block 42")
    (tmp_path / "a.apk").write_bytes(content)
    with pytest.raises(PackageError) as caught:
        reading.read(tmp_path / "a.apk")
    assert caught.value.data["reason"] == "signature"


def test_a_signer_for_other_systems_does_not_hide_the_one_for_ours(tmp_path: Path) -> None:
    own, vendor = apks.signer("own"), apks.signer("vendor")
    pairs = [apks.signing_block(one.der, apks.V3)[8:-24] for one in (vendor, own)]
    signers = b"".join(
        one[one.index(struct.pack("<I", apks.V3)) + 8 :][: -(12 + 64)] for one in pairs
    )  # without the pair after it
    content = struct.pack("<I", apks.V3) + struct.pack("<I", len(signers)) + signers
    block = struct.pack("<Q", len(content)) + content
    size = struct.pack("<Q", len(block) + 24)
    told = apks.with_block(apks.apk_bytes(scheme="none"), size + block + size + b"APK Sig Block 42")
    (tmp_path / "a.apk").write_bytes(told)
    with pytest.raises(PackageError) as caught:
        reading.read(tmp_path / "a.apk")
    assert caught.value.data["reason"] == "signature"
