"""What the next page says of what was just done, with a way to take it back where there is one."""

from typing import Any

from flask import flash

from fleet.web.texts import translated as _


def tell(words: str, *, undo: str | None = None, undo_words: str | None = None) -> None:
    """Say on the next page that something was done.

    Args:
        words: what was done.
        undo: the address to which a form takes it back.
        undo_words: what the form's button says; "Undo" where not given.
    """
    told: dict[str, Any] = {"words": words, "undo": undo, "undo_words": undo_words}
    flash(told, "success")  # type: ignore[arg-type]  # Flask keeps what JSON can say


def warn(words: str) -> None:
    """Say on the next page that something was not done, or only in part."""
    flash({"words": words, "undo": None, "undo_words": None}, "danger")  # type: ignore[arg-type]


def caution(words: str) -> None:
    """Say on the next page that something was done but is not what it may seem, or that it came too late."""
    flash({"words": words, "undo": None, "undo_words": None}, "warning")  # type: ignore[arg-type]


def warn_of_late_undo() -> None:
    """Say on the next page that something cannot be taken back, as what that needs is not kept any more."""
    warn(_("It is too late to take that back, or it is taken back already."))
