"""Files that somebody has sent and looks at before they are used: a roster, a delivery list, a calendar, a profile.

Invariants: a file is its sender's alone, is gone once it was used, and after an hour whatever happens, as it may hold
people's names; it is named by a random word that no address repeats to others. Not here: what files mean.
"""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import LargeBinary, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from fleet.access import Principal
from fleet.db import Base, carry_out, db
from fleet.errors import NotFoundError

KEPT_FOR = timedelta(hours=1)
_KEPT_EACH = 5  # files of one sender and kind; the oldest go
_LONGEST_NAME, _LONGEST_NAME_BYTES = 120, 240  # a folder takes no name of more than 255 bytes


class Upload(Base):
    """One file that waits for its sender's word. ``sender`` is as ``Principal.name`` tells."""

    __tablename__ = "upload"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    sender: Mapped[str] = mapped_column(String(80), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    file_name: Mapped[str] = mapped_column(String(120))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    sent_at: Mapped[datetime] = mapped_column(index=True)


def keep(content: bytes, *, file_name: str, kind: str, by: Principal, now: datetime) -> Upload:
    """Keep a file until it is used; returns it.

    Args:
        content: what was sent.
        file_name: what its sender calls it; only the last part of a path counts.
        kind: what it is for, such as ``roster``.
        by: who sent it.
        now: the instant.
    """
    last_part = file_name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(sign for sign in last_part if sign.isprintable())[-_LONGEST_NAME:]
    while len(shown.encode()) > _LONGEST_NAME_BYTES:
        shown = shown[1:]
    shown = shown.lstrip(".") or kind
    query = select(Upload.id).where(Upload.sender == by.name, Upload.kind == kind).order_by(Upload.id.desc())
    older = db.session.scalars(query.offset(_KEPT_EACH - 1)).all()
    db.session.execute(delete(Upload).where(Upload.id.in_(older)).execution_options(synchronize_session=False))
    found = Upload(name=secrets.token_hex(16), sender=by.name, kind=kind, file_name=shown, content=content, sent_at=now)
    db.session.add(found)
    db.session.flush()
    return found


def find(name: str, *, kind: str, by: Principal, now: datetime) -> Upload:
    """Return a file that its sender named.

    Raises:
        NotFoundError: there is none of this name and kind of ``by``, or its hour is over.
    """
    query = select(Upload).where(
        Upload.name == name, Upload.kind == kind, Upload.sender == by.name, Upload.sent_at > now - KEPT_FOR
    )
    found = db.session.scalars(query).first()
    if found is None:
        raise NotFoundError(kind="upload", name=kind)
    return found


@contextmanager
def as_file(found: Upload) -> Iterator[Path]:
    """Give the file to those who read files, under its own name, in a folder that only we can read; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fleet-upload-") as folder:
        path = Path(folder) / found.file_name
        path.write_bytes(found.content)
        yield path


def discard(found: Upload) -> None:
    """Remove a file: it was used, or nobody wants it any more."""
    db.session.delete(found)
    db.session.flush()


def forget(*, now: datetime) -> int:
    """Remove the files whose hour is over; returns how many. For a job."""
    query = delete(Upload).where(Upload.sent_at <= now - KEPT_FOR)
    return carry_out(query)
