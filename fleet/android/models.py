"""What is kept of the agent on an Android tablet: by which words it is known, what it was last given, what it told."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, Document
from fleet.devices.models import Device


class AgentClient(Base):
    """The agent on one tablet.

    Its token is worked out from ``seed`` and ``generation`` with a secret of the server's, and is not stored;
    ``token_digest`` is its SHA-256. The one before it (``former_digest``) is good until the newer was seen. Both stay
    known once the enrolment has ended, so that a lost tablet is not left without a word.

    ``served_…`` is what it was last given: the version of its configuration, the effective profile, the SHA-256 of what
    it read, and until when that is right by itself. ``hidden`` are packages that may be hidden on it now, and
    ``served_hidden`` those that are once what it was given is in force.
    """

    __tablename__ = "android_client"

    device_id: Mapped[int] = mapped_column(ForeignKey("device.id"), primary_key=True, autoincrement=False)
    key_thumbprint: Mapped[str] = mapped_column(String(64), unique=True)  # names its enrolment, as a key would
    seed: Mapped[str] = mapped_column(String(32))
    generation: Mapped[int] = mapped_column(default=1)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    former_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    seen_at: Mapped[datetime | None]  # when the newest token was first used
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("ticket.id"), index=True)
    number: Mapped[str] = mapped_column(String(64))  # what it calls itself
    cpu: Mapped[str | None] = mapped_column(String(16))
    served_version: Mapped[int | None]
    served_profile: Mapped[str | None] = mapped_column(String(64))
    served_digest: Mapped[str | None] = mapped_column(String(64))
    served_at: Mapped[datetime | None]
    served_until: Mapped[datetime | None]
    served_hidden: Mapped[list[Any] | None] = mapped_column(Document)
    served_orders: Mapped[list[Any] | None] = mapped_column(Document)  # those that are done once it is in force
    hidden: Mapped[list[Any] | None] = mapped_column(Document)
    put_off: Mapped[dict[str, Any] | None] = mapped_column(Document)  # apps it could not have, and until when
    notice: Mapped[str | None] = mapped_column(String(500))
    notice_until: Mapped[datetime | None]
    wiped_at: Mapped[datetime | None]  # when it said that it is about to be
    restarts_at: Mapped[datetime | None]  # when it said that it is about to start again
    # The token of the enrolment whose place this one took, of which nobody knew that it was over: see ``displacing``.
    displaced_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    displaced_seed: Mapped[str | None] = mapped_column(String(32))
    displaced_generation: Mapped[int | None]
    displaced_at: Mapped[datetime | None]
    told: Mapped[dict[str, Any] | None] = mapped_column(Document)  # its last report, as the channel keeps it

    device: Mapped[Device] = relationship()
