"""A package is read without trusting it: every hostile or broken file ends in one clear error, in bounded memory."""

import os
import random
import stat
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet.errors import InvalidFileError, Problem
from fleet.schools.roster import apply, package
from fleet.schools.roster.package import Problems, read_package, read_table
from tests import rosters

SOUND = rosters.encoded(rosters.one_roster(classes=2))


def refused(path: Path) -> list[tuple[str, int | None, str | None, str]]:
    with pytest.raises(InvalidFileError) as error:
        apply.read(path)
    assert all(isinstance(problem, Problem) and problem.expected for problem in error.value.problems)
    return [(p.file, p.line, p.column, p.code) for p in error.value.problems]


def refused_table(content: bytes) -> tuple[int | None, str | None, str, str | None]:
    problems = Problems()
    assert read_table("users.csv", content, problems) is None or problems.count
    with pytest.raises(InvalidFileError) as error:
        problems.raise_if_any()
    (found,) = error.value.problems
    return found.line, found.column, found.code, found.found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", (1, None, "no-header", None)),
        (b"\r\n", (1, None, "no-header", None)),
        (b"a;b;c\n1;2;3\n", (1, None, "wrong-delimiter", ";")),
        (b'"a";"b"\n"1";"2"\n', (1, None, "wrong-delimiter", ";")),
        (b"a\tb\n1\t2\n", (1, None, "wrong-delimiter", "\t")),
        (b"a,b,a\n1,2,3\n", (1, "a", "duplicate-column", "a")),
        (b"a,b\n1,2\n1,2,3\n", (3, None, "ragged-row", "3")),
        (b"a,b\n1\n", (2, None, "ragged-row", "1")),
        (b'a,b\n1,"2\n3,4\n', (3, None, "bad-csv", None)),
        (b'a,b\n1,"2"x\n', (2, None, "bad-csv", None)),
        ("a,b\nÅse,2\n".encode("latin-1"), (2, None, "not-utf8", None)),
        ("a,b\n1,2\n".encode("utf-16"), (1, None, "not-utf8", None)),
        (b"a,b\n1,2\n1,\0\n", (3, None, "nul", None)),
        (b"a,b\n1," + b"x" * 4001 + b"\n", (2, "b", "too-long", None)),
        (b"a,b\n1," + b"x" * 200_000 + b"\n", (2, None, "bad-csv", None)),
    ],
)
def test_a_bad_table_is_told_with_its_line(
    content: bytes, expected: tuple[int | None, str | None, str, str | None]
) -> None:
    assert refused_table(content) == expected


def test_every_ragged_row_is_told() -> None:
    problems = Problems()
    read_table("users.csv", b"a,b\n1\n1,2\n3\n", problems)
    with pytest.raises(InvalidFileError) as error:
        problems.raise_if_any()
    assert [problem.line for problem in error.value.problems] == [2, 4]


def test_a_broken_table_hides_no_fault_of_the_others_and_makes_none(tmp_path: Path) -> None:
    files = rosters.one_roster(classes=2)
    files["classes"][0]["classType"] = "club"
    content = rosters.encoded(files)
    ragged = content["users.csv"].replace(b"example.test\r\n", b"example.test,too,many\r\n", 1)
    assert refused(rosters.zipped(tmp_path / "a.zip", content | {"users.csv": ragged})) == [
        ("users.csv", 2, None, "ragged-row"),
        ("classes.csv", 2, "classType", "unknown-type"),
    ]
    for spoilt, code in ((b"\xff", "not-utf8"), (b"a,a\n", "duplicate-column"), (b'a,"b\n', "bad-csv")):
        found = refused(rosters.zipped(tmp_path / "a.zip", content | {"users.csv": spoilt}))
        assert [problem[3] for problem in found] == [code, "unknown-type"]


def test_a_package_of_which_nothing_can_be_read_is_told_that(tmp_path: Path) -> None:
    path = rosters.zipped(tmp_path / "a.zip", {"x.csv": b"a;b\n1;2\n"})
    assert refused(path) == [("x.csv", 1, None, "wrong-delimiter")]


def test_lines_are_counted_through_quoted_line_breaks() -> None:
    problems = Problems()
    read_table("users.csv", b'a,b\n1,"x\ny"\n\n1\n', problems)
    with pytest.raises(InvalidFileError) as error:
        problems.raise_if_any()
    assert [problem.line for problem in error.value.problems] == [5]


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("make", [rosters.zipped, rosters.folder])
def test_byte_order_marks_line_ends_and_folders_make_no_difference(
    tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path], newline: str, start: str
) -> None:
    content = rosters.encoded(rosters.one_roster(classes=2), newline=newline, start=start)
    assert apply.read(make(tmp_path / "roster", content)) == apply.read(rosters.zipped(tmp_path / "plain", SOUND))


def test_file_names_are_recognised_in_any_case_and_others_are_not_read(tmp_path: Path) -> None:
    content = {name.upper(): text for name, text in SOUND.items()} | {"README.txt": b"\xff", "bilde.png": b"\x00"}
    for make in (rosters.zipped, rosters.folder):
        assert apply.read(make(tmp_path / make.__name__, content)).classes


def test_empty_lines_mean_nothing(tmp_path: Path) -> None:
    content = SOUND | {"orgs.csv": SOUND["orgs.csv"] + b"\r\n,,,,\r\n \r\n"}
    assert apply.read(rosters.zipped(tmp_path / "a.zip", content)).schools


@pytest.mark.parametrize(
    "name",
    ["../orgs.csv", "/etc/orgs.csv", "mappe/orgs.csv", "..\\orgs.csv", "C:\\orgs.csv", ".orgs.csv", "__MACOSX/._orgs.csv", "a/../b.txt"],
)  # fmt: skip
def test_a_path_in_a_zip_is_refused(tmp_path: Path, name: str) -> None:
    assert refused(rosters.zipped(tmp_path / "a.zip", SOUND | {name: b"a,b\n"})) == [
        ("a.zip", None, None, "path-in-zip")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_folders_in_a_zip_are_no_files(tmp_path: Path) -> None:
    path = rosters.zipped(tmp_path / "a.zip", SOUND)
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("mappe/", b"")
    assert apply.read(path).classes


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = rosters.zipped(tmp_path / "a.zip", {name: text for name, text in SOUND.items() if name != "orgs.csv"})
    info = zipfile.ZipInfo("orgs.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as made:
        made.writestr(info, "/etc/passwd")
    assert refused(path) == [("a.zip", None, None, "link-in-zip")]


def test_a_link_in_a_folder_is_refused_and_what_it_leads_to_is_not_read(tmp_path: Path) -> None:
    path = rosters.folder(tmp_path / "roster", SOUND)
    (tmp_path / "secret").write_text("sourcedId,name\nhemmelig,x\n")
    (path / "extra.csv").symlink_to(tmp_path / "secret")
    assert refused(path) == [("extra.csv", None, None, "not-a-file")]


def test_a_folder_or_a_pipe_in_a_tables_place_is_refused(tmp_path: Path) -> None:
    path = rosters.folder(tmp_path / "roster", SOUND)
    (path / "extra.csv").mkdir()
    assert refused(path) == [("extra.csv", None, None, "not-a-file")]
    (path / "extra.csv").rmdir()
    os.mkfifo(path / "extra.csv")
    assert refused(path) == [("extra.csv", None, None, "not-a-file")]
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == [("pipe", None, None, "not-a-file")]


def test_nested_folders_are_not_searched(tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    rosters.folder(tmp_path / "outer" / "inner", SOUND)
    assert refused(tmp_path / "outer") == [("outer", None, None, "no-tables")]
    assert refused(rosters.zipped(tmp_path / "a.zip", {"README.txt": b"x"})) == [("a.zip", None, None, "no-tables")]


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        apply.read(tmp_path / "none.zip")


def test_two_files_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    content = SOUND | {"ORGS.CSV": SOUND["orgs.csv"]}
    for make in (rosters.zipped, rosters.folder):
        assert refused(make(tmp_path / make.__name__, content)) == [(make.__name__, None, None, "duplicate-file")]


def test_tables_of_another_kind_are_refused(tmp_path: Path) -> None:
    assert refused(rosters.zipped(tmp_path / "a.zip", {"people.csv": b"name,age\nx,1\n"})) == [
        ("a.zip", None, None, "unknown-format")
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty-file"),
        (b"sourcedId,name\r\n1,2\r\n", "not-a-zip"),
        (b"PK\x03\x04", "not-a-zip"),
        (os.urandom(5000), "not-a-zip"),
    ],
)
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    assert refused(tmp_path / "a.zip") == [("a.zip", None, None, code)]


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = rosters.zipped(tmp_path / "a.zip", SOUND)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1  # general purpose flag, bit 0
    path.write_bytes(content)
    assert refused(path) == [("a.zip", None, None, "encrypted")]


def test_rare_compressions_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as made:
        made.writestr("orgs.csv", SOUND["orgs.csv"])
    assert refused(tmp_path / "a.zip") == [("a.zip", None, None, "unknown-compression")]


def test_a_damaged_zip_never_ends_otherwise_than_in_an_error_of_ours(tmp_path: Path) -> None:
    whole = rosters.zipped(tmp_path / "a.zip", SOUND).read_bytes()
    chance, codes = random.Random(7), set()  # noqa: S311 (the same damage each time)
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if chance.random() < 0.2:
            del content[chance.randrange(len(content)) :]
        (tmp_path / "b.zip").write_bytes(content)
        try:
            apply.read(tmp_path / "b.zip")
        except InvalidFileError as error:
            codes |= {problem.code for problem in error.problems}
    assert {"not-a-zip", "damaged-zip"} <= codes


def bomb(path: Path, *, size: int, told: int | None = None) -> Path:
    """Write a zip whose one table is zeros; ``told`` is the size its directory claims."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made, made.open("users.csv", "w") as member:
        for _ in range(size // 2**20):
            member.write(bytes(2**20))
    if told is not None:
        content = bytearray(path.read_bytes())
        at = content.rindex(b"PK\x01\x02")
        content[at + 24 : at + 28] = struct.pack("<I", told)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("told", [None, 1000])
def test_a_zip_bomb_is_refused_fast_and_in_bounded_memory(tmp_path: Path, told: int | None) -> None:
    path = bomb(tmp_path / "bomb.zip", size=200 * 2**20, told=told)
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    started = time.monotonic()
    codes = [found[3] for found in refused(path)]
    took, (_, peak) = time.monotonic() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A directory that lies is caught by the zip reader's own check of the sum.
    assert codes == ["zip-bomb" if told is None else "damaged-zip"]
    assert took < 3
    assert peak < 100 * 2**20


def test_a_table_that_does_grow_beyond_all_measure_is_cut_off_while_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rosters.zipped(tmp_path / "a.zip", SOUND)
    monkeypatch.setattr(package, "MAX_FILE_BYTES", 100)
    assert refused(path)[0][3] == "too-large"
    assert refused(rosters.folder(tmp_path / "folder", SOUND))[0][3] == "too-large"
    monkeypatch.setattr(package, "MAX_FILE_BYTES", 2**20)
    monkeypatch.setattr(package, "MAX_TOTAL_BYTES", 1000)
    assert refused(path) == [("a.zip", None, None, "too-large")]
    assert refused(tmp_path / "folder")[0][3] == "too-large"


def test_rows_are_counted_while_they_are_read_and_over_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rosters.zipped(tmp_path / "a.zip", SOUND)
    most = sum(len(table.rows) for table in read_package(path, Problems()).values())
    monkeypatch.setattr(package, "MAX_ROWS", most)
    assert apply.read(path).classes
    monkeypatch.setattr(package, "MAX_ROWS", most - 1)
    assert [found[3] for found in refused(path)] == ["too-many-rows"]


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    content = SOUND | {f"x{number}.csv": b"a\n" for number in range(100)}
    for make in (rosters.zipped, rosters.folder):
        assert refused(make(tmp_path / make.__name__, content)) == [(make.__name__, None, None, "too-many-files")]


def test_a_directory_of_tens_of_thousands_of_members_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as made:
        for number in range(30_000):
            made.writestr(f"{number}.csv", b"")
    tracemalloc.start()
    started = time.monotonic()
    assert refused(path) == [("many.zip", None, None, "too-many-files")]
    took, (_, peak) = time.monotonic() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 1
    assert peak < 8 * 2**20
