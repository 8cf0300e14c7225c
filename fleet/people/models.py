"""Accounts of those who use the pages, what they may, and their sign-ins.

Invariants: no password, link or session token is stored, only what proves it (argon2 for passwords, SHA-256 for random
tokens); what an account may is read anew at each request, so a role taken away is gone at once on every server.
An account is not a person of the roster, but a teacher's account points at one: the own classes come from there.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.access import Role
from fleet.db import Base, text_enum
from fleet.schools.models import Person


class Account(Base):
    """Someone who may sign in. ``username`` is stored case-folded."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(255), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    password_hash: Mapped[str | None] = mapped_column(String(255))  # argon2id; None until one is chosen
    language: Mapped[str | None] = mapped_column(String(8))  # nb, nn or en; None follows the browser
    theme: Mapped[str | None] = mapped_column(String(8))  # light or dark; None follows the browser
    email: Mapped[str | None] = mapped_column(String(255))  # for alerts; None: the roster's
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), unique=True)
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]

    person: Mapped[Person | None] = relationship()
    grants: Mapped[list["AccountGrant"]] = relationship(back_populates="account", cascade="all, delete-orphan")


class AccountGrant(Base):
    """A role of an account, at one school or (``school_id`` None) everywhere."""

    __tablename__ = "account_grant"
    __table_args__ = (
        Index("uq_account_grant_school", "account_id", "role", "school_id", unique=True),
        Index(
            "uq_account_grant_everywhere",
            "account_id",
            "role",
            unique=True,
            sqlite_where=text("school_id IS NULL"),
            postgresql_where=text("school_id IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    role: Mapped[Role] = mapped_column(text_enum(Role))
    school_id: Mapped[int | None] = mapped_column(ForeignKey("school.id"))

    account: Mapped[Account] = relationship(back_populates="grants")


class PasswordLink(Base):
    """A one-time right to choose a password: for an account, or (``account_id`` None) for the first administrator."""

    __tablename__ = "password_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInSession(Base):
    """One browser that is signed in. Ends by itself, by signing out, and with a new password."""

    __tablename__ = "sign_in_session"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    token_digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)

    account: Mapped[Account] = relationship()


class SignInFailure(Base):
    """A sign-in that failed, kept a short while to slow down guessing on all servers together.

    ``subject`` is the SHA-256 of what is limited (an account's name, or an address), never the thing itself.
    """

    __tablename__ = "sign_in_failure"
    __table_args__ = (Index("ix_sign_in_failure_subject_at", "subject", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(index=True)
