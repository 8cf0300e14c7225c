"""Reading a roster package, zip or folder, without trusting it.

Invariants: nothing is unpacked to disk; only CSV files at the top are read, each once; bytes, ratio, rows and the list
of a zip's members are capped while reading; every fault is told with file, line and what was expected. Cells are text
and stay text.
"""

import csv
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from fleet.errors import InvalidFileError, Problem

MAX_FILE_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 256 * 2**20
MAX_RATIO = 200
MAX_ROWS = 1_000_000
MAX_CELL = 4_000
MAX_MEMBERS = 100
MAX_DIRECTORY_BYTES = 2**20
MAX_PROBLEMS = 200
_HONEST_BYTES = 2**20  # below this no ratio is suspicious
# Others are rare, and their decompressors fail in ways of their own.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# All that the zip reader raises over a file with wrong bytes in it; the last from seeking to where nothing can be.
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, struct.error, OSError)


class Problems:
    """Collects what is wrong; keeps the first :data:`MAX_PROBLEMS` and counts the rest.

    A file with a fault of its structure (a missing column, a ragged row) lacks lines, so what refers to it and finds
    nothing is no fault of its own: :meth:`lacks_lines` tells.
    """

    def __init__(self) -> None:
        self._kept: list[Problem] = []
        self._broken: set[str] = set()
        self.count = 0

    def add_structural(self, problem: Problem) -> None:
        """Note one problem that costs its file some or all of its lines."""
        self._broken.add(problem.file.casefold())
        self.add(problem)

    def lacks_lines(self, file: str) -> bool:
        """Whether some lines of a file could not be read."""
        return file.casefold() in self._broken

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
            raise self.error()

    def error(self) -> InvalidFileError:
        """Return what was collected as an error."""
        return InvalidFileError(self._kept, count=self.count)


@dataclass(slots=True)
class Table:
    """One CSV file: its name, columns, and rows as (line, values by column)."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)


def _refuse(file: str, code: str, found: str | None, expected: str) -> InvalidFileError:
    return InvalidFileError([Problem(file, None, None, code, found, expected)], count=1)


def read_package(path: Path, problems: Problems) -> dict[str, Table]:
    """Return the package's tables by file name without ending, lower case; one that cannot be read has no columns.

    Args:
        path: the zip or folder.
        problems: where to note what is wrong with tables, so that it is told together with what else is wrong.

    Raises:
        InvalidFileError: not a package, unsafe, or too large.
        OSError: the path cannot be read.
    """
    tables: dict[str, Table] = {}
    left = MAX_ROWS
    for name, content in _members(path):
        table = read_table(name, content, problems, most_rows=left) or Table(name, ())
        left -= len(table.rows)
        tables[name[: -len(".csv")].lower()] = table
    if not tables:
        raise _refuse(path.name, "no-tables", None, "CSV files such as orgs.csv and users.csv, not in a folder inside")
    return tables


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    kind = path.stat().st_mode
    if stat.S_ISDIR(kind):
        return _folder_members(path)
    if not stat.S_ISREG(kind):
        raise _refuse(path.name, "not-a-file", None, "a zip of CSV files, or a folder with them")
    if path.stat().st_size == 0:
        raise _refuse(path.name, "empty-file", None, "a zip of CSV files; this file has no content")
    return _zip_members(path)


def _is_table(name: str) -> bool:
    return name.lower().endswith(".csv")


def _folder_members(folder: Path) -> Iterator[tuple[str, bytes]]:
    paths = sorted(path for path in folder.iterdir() if _is_table(path.name))
    _require_few_and_single(folder.name, [path.name for path in paths])
    total = 0
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise _refuse(path.name, "not-a-file", None, "an ordinary file, neither a link nor a folder")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        total += len(content)
        if len(content) > MAX_FILE_BYTES or total > MAX_TOTAL_BYTES:
            expected = f"at most {MAX_FILE_BYTES} bytes, and {MAX_TOTAL_BYTES} in all"
            raise _refuse(path.name, "too-large", None, expected)
        yield path.name, content


class _Frugal(io.BufferedReader):
    """A file that is never read in one large piece.

    ``zipfile`` reads the list of members at once, as long as the file says it is; this is where that ends.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return super().read(MAX_DIRECTORY_BYTES)
        if size > MAX_DIRECTORY_BYTES:
            raise _refuse(Path(str(self.name)).name, "too-many-files", None, f"at most {MAX_MEMBERS} files")
        return super().read(size)


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    what = "not-a-zip"
    with _Frugal(io.FileIO(path)) as file:
        try:
            with zipfile.ZipFile(file) as package:
                what = "damaged-zip"
                infos = [info for info in package.infolist() if not info.is_dir()]
                _require_safe(path.name, infos)
                total = 0
                for info in infos:
                    if _is_table(info.filename):
                        content = _inflate(package, info)
                        total += len(content)
                        if total > MAX_TOTAL_BYTES:
                            raise _refuse(path.name, "too-large", None, f"at most {MAX_TOTAL_BYTES} bytes unpacked")
                        yield info.filename, content
        except _DAMAGED as error:
            raise _refuse(path.name, what, None, "a zip of CSV files that opens without errors, or a folder") from error


def _require_few_and_single(file: str, names: list[str]) -> None:
    if len(names) > MAX_MEMBERS:
        raise _refuse(file, "too-many-files", str(len(names)), f"at most {MAX_MEMBERS} files")
    folded = [name.lower() for name in names]
    for name in names:
        if folded.count(name.lower()) > 1:
            raise _refuse(file, "duplicate-file", name, "each file once")


def _require_safe(file: str, infos: list[zipfile.ZipInfo]) -> None:
    _require_few_and_single(file, [info.filename for info in infos])
    for info in infos:
        name = info.filename[:80]
        if "/" in name or "\\" in name or name.startswith("."):
            raise _refuse(file, "path-in-zip", name, "files at the top of the zip, without folders")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise _refuse(file, "link-in-zip", name, "ordinary files, no links")
        if info.flag_bits & 0x1:
            raise _refuse(file, "encrypted", name, "a zip without a password")
        if info.compress_type not in _METHODS:
            raise _refuse(file, "unknown-compression", name, "an ordinary zip (deflate)")


def _inflate(package: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Unpack one member, giving up as soon as it grows beyond what an honest table could be."""
    out = io.BytesIO()
    limit = min(MAX_FILE_BYTES, max(_HONEST_BYTES, info.compress_size * MAX_RATIO))
    grown = info.file_size  # as the file says: enough to refuse, never enough to trust
    with package.open(info) as member:
        while grown <= limit and (chunk := member.read(64 * 1024)):
            out.write(chunk)
            grown = max(grown, out.tell())
    if grown > limit:
        if limit == MAX_FILE_BYTES:
            raise _refuse(info.filename, "too-large", None, f"at most {MAX_FILE_BYTES} bytes")
        raise _refuse(info.filename, "zip-bomb", None, f"at most {MAX_RATIO} times its packed size")
    return out.getvalue()


def read_table(
    name: str, content: bytes, problems: Problems, *, most_rows: int = MAX_ROWS, delimiter: str = ","
) -> Table | None:
    """Read one CSV file: RFC 4180, UTF-8 with or without a byte order mark.

    Args:
        name: of the file.
        content: of the file.
        problems: where to note what is wrong.
        most_rows: how many rows there may be.
        delimiter: between columns.

    Returns:
        The table; None where it cannot be read, with the reason added to ``problems``.

    Raises:
        InvalidFileError: too many rows.
    """
    text = _text(name, content, delimiter, problems)
    if text is None:
        return None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        if not _sound_header(name, header, problems):
            return None
        table = Table(name, tuple(header))
        line = reader.line_num + 1
        for cells in reader:
            _add_row(table, line, cells, problems)
            if len(table.rows) > most_rows:
                raise _refuse(name, "too-many-rows", None, f"at most {MAX_ROWS} rows in all")
            line = reader.line_num + 1
    except csv.Error as error:
        problems.add_structural(
            Problem(name, reader.line_num, None, "bad-csv", None, f"fields whose quotes end ({error})")
        )
        return None
    return table


def _text(name: str, content: bytes, delimiter: str, problems: Problems) -> str | None:
    """Return the file's text; None with the reason noted where it is none, or its columns are separated otherwise."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add_structural(
            Problem(name, line, None, "not-utf8", None, "text in UTF-8; save the file as CSV UTF-8")
        )
        return None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        problems.add_structural(Problem(name, line, None, "nul", None, "text without NUL characters"))
        return None
    first = text.partition("\n")[0]
    # Before parsing: quoted columns with another delimiter look like broken quotes.
    if delimiter not in first and (other := next((mark for mark in ",;\t|" if mark in first), None)):
        problems.add_structural(Problem(name, 1, None, "wrong-delimiter", other, f"columns separated by {delimiter}"))
        return None
    return text


def _sound_header(name: str, header: list[str], problems: Problems) -> bool:
    if not any(header):
        problems.add_structural(Problem(name, 1, None, "no-header", None, "a first line with the columns' names"))
    elif len(set(header)) != len(header):
        twice = next(column for column in header if header.count(column) > 1)
        problems.add_structural(Problem(name, 1, twice, "duplicate-column", twice, "each column once"))
    else:
        return True
    return False


def _add_row(table: Table, line: int, cells: list[str], problems: Problems) -> None:
    if not any(cell.strip() for cell in cells):
        return  # empty lines at the end are common and mean nothing
    if len(cells) != len(table.columns):
        expected = f"{len(table.columns)} fields, as in the first line"
        problems.add_structural(Problem(table.name, line, None, "ragged-row", str(len(cells)), expected))
        return
    longest = max(range(len(cells)), key=lambda place: len(cells[place]))
    if len(cells[longest]) > MAX_CELL:
        problems.add_structural(
            Problem(table.name, line, table.columns[longest], "too-long", None, f"at most {MAX_CELL} characters")
        )
        return
    table.rows.append((line, {column: cell.strip() for column, cell in zip(table.columns, cells, strict=True)}))
