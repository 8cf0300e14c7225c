"""Which folder of secrets a database belongs to.

Servers that share a database share the secrets, too. One that was started with an empty folder would make keys of its
own: tablets would not believe what it signs, those that enrol with it would believe no other server, and people would
be signed out at every other page. So the first server leaves the name of its folder in the database, as a digest; the
name is one of the secrets and travels with them.
"""

from sqlalchemy import String, inspect, select
from sqlalchemy.orm import Mapped, mapped_column

from fleet.checkup.checks import Check, fault, ok
from fleet.crypto import token_digest
from fleet.db import Base, db, take_turn

_THE_ONE = 1


class Installation(Base):
    """The folder: one row."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(primary_key=True)
    name_digest: Mapped[str] = mapped_column(String(64))


def claim(name: str) -> bool:
    """Note that the database belongs to a folder; False where it belongs to another.

    Args:
        name: what is in the folder, random.
    """
    take_turn("installation")  # of servers that start together the first counts
    if _of_another(name) is None:
        db.session.add(Installation(id=_THE_ONE, name_digest=token_digest(name)))
        db.session.flush()
    return not _of_another(name)


def is_of_another(name: str) -> bool:
    """Whether the running database, of whatever shape, belongs to another folder.

    Args:
        name: what is in ours.
    """
    return inspect(db.session.connection()).has_table(Installation.__tablename__) and _of_another(name) is True


def examine(name: str | None) -> Check:
    """Return whether the running database belongs to a folder; one statement.

    Args:
        name: what is in the folder; None where nothing is yet.
    """
    is_another = _of_another(name or "")
    if is_another is None:
        return ok("installation", "no server has started yet")
    if not is_another:
        return ok("installation", "the database belongs to these secrets")
    told = "the database belongs to the servers of other secrets"
    return fault("installation", told, "use the FLEET_DATA_DIR of those servers, or copy all that is in its secrets")


def _of_another(name: str) -> bool | None:
    """Whether the database belongs to another folder; None where to none yet."""
    digest = db.session.scalar(select(Installation.name_digest).where(Installation.id == _THE_ONE))
    return None if digest is None else digest != token_digest(name)
