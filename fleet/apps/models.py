"""Apps, packages of our own, and images.

Invariants: an app is one row for each platform, found by the id that profiles name it by; of its packages at most one
for each kind of processor is current. A package's file lies under its digest, and is there before its row is
(:mod:`fleet.apps.files`).
"""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, text_enum
from fleet.devices.models import Platform


class App(Base):
    """An app that profiles may name.

    ``app_id`` is its bundle id or package name, as ``apps.required`` has it. It comes from a package of our own where
    there is one, else from the platform's store where ``store_id`` says which it is there. ``is_licensed`` says that a
    licence is assigned to the tablets themselves, so that no account is needed to get it. ``icon`` is its sign, PNG or
    WebP, as its last package had it.
    """

    __tablename__ = "app"
    __table_args__ = (UniqueConstraint("platform", "app_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    app_id: Mapped[str] = mapped_column(String(155))
    platform: Mapped[Platform] = mapped_column(text_enum(Platform))
    name: Mapped[str] = mapped_column(String(120))
    store_id: Mapped[int | None] = mapped_column(BigInteger)
    is_licensed: Mapped[bool]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    icon: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    icon_digest: Mapped[str | None] = mapped_column(String(64))  # SHA-256, lower-case hex

    packages: Mapped[list["AppPackage"]] = relationship(
        primaryjoin="and_(App.id == foreign(AppPackage.app_pk), AppPackage.is_current)", viewonly=True,
        order_by="AppPackage.cpu", lazy="selectin",
    )  # fmt: skip

    @property
    def package(self) -> "AppPackage | None":
        """The current package, None where there is none; where there are several, the one for any processor is first.

        Only Android has several.
        """
        return self.packages[0] if self.packages else None


class AppPackage(Base):
    """One package of our own. ``token`` stands in its address, which nobody can guess; ``digest`` names its file.

    ``cpu`` is the one kind of processor that it is for, empty for any; ``certificate`` the SHA-256 of its signer's,
    lower-case hex. What was current before stays for a while, as tablets may be fetching it.
    """

    __tablename__ = "app_package"
    __table_args__ = (
        Index(
            "uq_app_package_current", "app_pk", "cpu", unique=True,
            sqlite_where=text("is_current"), postgresql_where=text("is_current"),
        ),
        CheckConstraint("is_current = (replaced_at IS NULL)", name="current_until_replaced"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    app_pk: Mapped[int] = mapped_column(ForeignKey("app.id"), index=True)
    version: Mapped[str] = mapped_column(String(64))  # as people know it
    build: Mapped[str] = mapped_column(String(64))  # of Android's, the number that grows with each version
    kind: Mapped[str] = mapped_column(String(8))  # ipa | apk | xapk
    cpu: Mapped[str] = mapped_column(String(16), default="")
    certificate: Mapped[str | None] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64), index=True)  # SHA-256, lower-case hex
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    file_name: Mapped[str] = mapped_column(String(120))
    minimum_os: Mapped[str | None] = mapped_column(String(16))
    token: Mapped[str] = mapped_column(String(43), unique=True)
    is_current: Mapped[bool]
    uploaded_at: Mapped[datetime]
    replaced_at: Mapped[datetime | None]


class Image(Base):
    """A picture that profiles name, as a wallpaper or as the sign of a web shortcut."""

    __tablename__ = "image"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    media_type: Mapped[str] = mapped_column(String(16))  # image/png | image/jpeg
    width: Mapped[int]
    height: Mapped[int]
    size_bytes: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
