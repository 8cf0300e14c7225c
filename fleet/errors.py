"""The one tree of errors the domain raises. They carry data, not sentences.

Each door maps a class to its own answer once (a status, an exit code, a text in the reader's language).
``code`` is stable: programs may rely on it. ``data`` holds what the text needs and never a secret, a token or a
pupil's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class FleetError(Exception):
    """Base of everything the domain refuses.

    Args:
        data: what the door needs to explain the refusal, by name.
    """

    code: ClassVar[str] = "error"

    def __init__(self, **data: Any) -> None:
        super().__init__(self.code, data)
        self.data = data

    def __str__(self) -> str:
        """Return code and data for logs; doors write the text for people."""
        inside = ", ".join(f"{name}={value!r}" for name, value in self.data.items())
        return f"{self.code}({inside})"


class InvalidError(FleetError):
    """Something given is not acceptable as it stands."""

    code = "invalid"


class NotFoundError(FleetError):
    """What was asked for does not exist, or not for the one who asks. Data: ``kind``, ``name``."""

    code = "not-found"


class ForbiddenError(FleetError):
    """The one who asks lacks the permission. Data: ``permission``."""

    code = "forbidden"


class ConflictError(FleetError):
    """The present state does not allow it."""

    code = "conflict"


class DatabaseNewerError(FleetError):
    """The database has the shape of a newer program, which this one does not know."""

    code = "database-newer"


class UpgradeHeldUpError(FleetError):
    """Changing the database's shape waited or worked too long; nothing was done. Data: ``is_lock``, ``seconds``."""

    code = "upgrade-held-up"


class BrakedError(FleetError):
    """Allowed, but so large that it waits for an explicit yes. Data says how large and what the limit is."""

    code = "braked"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input file: where it stands, what is wrong, what was expected.

    Args:
        file: name of the file as its owner knows it, never a path of the server.
        line: 1-based line, None where the whole file is meant.
        column: the column's name or the setting's key, None where the whole line is meant.
        code: stable name of the kind of fault.
        found: what stands there, shortened; None where it must not be shown.
        expected: what should have stood there.
        about: what the line is about, where that may be shown and the line alone does not tell: a class's title.
        other: name of the file, or number of the line, that the fault is about too.
    """

    file: str
    line: int | None
    column: str | None
    code: str
    found: str | None
    expected: str
    about: str | None = None
    other: str | None = None


class InvalidFileError(InvalidError):
    """An input file has faults; nothing of it was taken."""

    code = "invalid-file"

    def __init__(self, problems: Sequence[Problem], **data: Any) -> None:
        super().__init__(problems=tuple(problems), **data)
        self.problems: tuple[Problem, ...] = tuple(problems)


class ReasonError(Exception):
    """Base of what code below the doors says to code beside it: never to a person, so it has a reason and no words.

    Args:
        reason: which of those that the class names.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
