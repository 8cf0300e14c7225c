"""Reading a roster package, zip or folder, without trusting it.

Invariants: nothing is unpacked to disk; only CSV files at the top are read, each once; bytes, ratio and rows are
capped while reading; every fault is told with file, line and what was expected. Cells are text and stay text.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from fleet.errors import InvalidFileError, Problem

MAX_FILE_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 256 * 2**20
MAX_RATIO = 200
MAX_ROWS = 2_000_000
MAX_CELL = 4_000
MAX_MEMBERS = 100
MAX_PROBLEMS = 200


class Problems:
    """Collects what is wrong; keeps the first :data:`MAX_PROBLEMS` and counts the rest."""

    def __init__(self) -> None:
        self._kept: list[Problem] = []
        self.count = 0

    def add(self, problem: Problem) -> None:
        """Note one problem."""
        self.count += 1
        if len(self._kept) < MAX_PROBLEMS:
            self._kept.append(replace(problem, found=problem.found[:80]) if problem.found else problem)

    def raise_if_any(self) -> None:
        """End here if anything was wrong.

        Raises:
            InvalidFileError: with what was collected.
        """
        if self.count:
            raise InvalidFileError(self._kept, count=self.count)


@dataclass(slots=True)
class Table:
    """One CSV file: its name, columns, and rows as (line, values by column)."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)


def _refuse(file: str, code: str, found: str | None, expected: str) -> InvalidFileError:
    return InvalidFileError([Problem(file, None, None, code, found, expected)], count=1)


def read_package(path: Path) -> dict[str, Table]:
    """Return the package's tables by file name without ending, lower case.

    Raises:
        InvalidFileError: not a package, unsafe, too large, or a table cannot be read.
        OSError: the path cannot be read.
    """
    problems = Problems()
    tables: dict[str, Table] = {}
    rows = 0
    for name, content in _zip_members(path) if path.is_file() else _folder_members(path):
        table = read_table(name, content, problems)
        if table is not None:
            rows += len(table.rows)
            if rows > MAX_ROWS:
                raise _refuse(path.name, "too-many-rows", None, f"at most {MAX_ROWS} rows in all")
            tables[name.lower().removesuffix(".csv")] = table
    problems.raise_if_any()
    if not tables:
        raise _refuse(path.name, "no-tables", None, "CSV files such as orgs.csv and users.csv, not in a folder inside")
    return tables


def _folder_members(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.glob("*.csv")):
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _refuse(path.name, "too-large", str(path.stat().st_size), f"at most {MAX_FILE_BYTES} bytes")
        yield path.name, path.read_bytes()


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as package:
            infos = [info for info in package.infolist() if not info.is_dir()]
            _require_safe(path.name, infos)
            total = 0
            for info in infos:
                if info.filename.lower().endswith(".csv"):
                    content = _inflate(package, info)
                    total += len(content)
                    if total > MAX_TOTAL_BYTES:
                        raise _refuse(path.name, "too-large", None, f"at most {MAX_TOTAL_BYTES} bytes unpacked")
                    yield info.filename, content
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise _refuse(path.name, "not-a-zip", None, "a zip of CSV files, or a folder with them") from error


def _require_safe(file: str, infos: list[zipfile.ZipInfo]) -> None:
    names = [info.filename.lower() for info in infos]
    if len(infos) > MAX_MEMBERS:
        raise _refuse(file, "too-many-files", str(len(infos)), f"at most {MAX_MEMBERS} files")
    for info in infos:
        if "/" in info.filename or "\\" in info.filename or info.filename.startswith("."):
            raise _refuse(file, "path-in-zip", info.filename[:80], "files at the top of the zip, without folders")
        if names.count(info.filename.lower()) > 1:
            raise _refuse(file, "duplicate-file", info.filename, "each file once")
        if info.flag_bits & 0x1:
            raise _refuse(file, "encrypted", info.filename, "a zip without a password")


def _inflate(package: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Unpack one member, giving up as soon as it grows beyond what an honest table could be."""
    out = io.BytesIO()
    limit = min(MAX_FILE_BYTES, max(2**20, info.compress_size * MAX_RATIO))
    with package.open(info) as member:
        while chunk := member.read(64 * 1024):
            out.write(chunk)
            if out.tell() > limit:
                raise _refuse(info.filename, "zip-bomb", None, f"at most {MAX_RATIO} times its packed size")
    return out.getvalue()


def read_table(name: str, content: bytes, problems: Problems) -> Table | None:
    """Read one CSV file: comma, RFC 4180, UTF-8 with or without a byte order mark.

    Returns:
        The table; None where it cannot be read, with the reason added to ``problems``.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add(Problem(name, line, None, "not-utf8", None, "text in UTF-8; save the file as CSV UTF-8"))
        return None
    if "\0" in text:
        problems.add(
            Problem(name, text[: text.index("\0")].count("\n") + 1, None, "nul", None, "text without NUL characters")
        )
        return None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        if not _sound_header(name, header, problems):
            return None
        table = Table(name, tuple(header))
        line = reader.line_num + 1
        for cells in reader:
            _add_row(table, line, cells, problems)
            line = reader.line_num + 1
    except csv.Error as error:
        problems.add(Problem(name, reader.line_num, None, "bad-csv", None, f"quoted fields that end ({error})"))
        return None
    return table


def _sound_header(name: str, header: list[str], problems: Problems) -> bool:
    if not any(header):
        problems.add(Problem(name, 1, None, "no-header", None, "a first line with the columns' names"))
    elif len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        problems.add(Problem(name, 1, None, "wrong-delimiter", header[0][:60], "columns separated by commas"))
    elif len(set(header)) != len(header):
        twice = next(column for column in header if header.count(column) > 1)
        problems.add(Problem(name, 1, twice, "duplicate-column", twice, "each column once"))
    else:
        return True
    return False


def _add_row(table: Table, line: int, cells: list[str], problems: Problems) -> None:
    if not any(cell.strip() for cell in cells):
        return  # empty lines at the end are common and mean nothing
    if len(cells) != len(table.columns):
        expected = f"{len(table.columns)} fields, as in the first line"
        problems.add(Problem(table.name, line, None, "ragged-row", str(len(cells)), expected))
        return
    longest = max(range(len(cells)), key=lambda place: len(cells[place]))
    if len(cells[longest]) > MAX_CELL:
        problems.add(
            Problem(table.name, line, table.columns[longest], "too-long", None, f"at most {MAX_CELL} characters")
        )
        return
    table.rows.append((line, {column: cell.strip() for column, cell in zip(table.columns, cells, strict=True)}))
