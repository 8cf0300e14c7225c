"""The one blueprint of the pages. Every view needs a signed-in account, unless it is marked :func:`public`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flask import Blueprint

web = Blueprint("web", __name__, template_folder="templates")

_View = TypeVar("_View", bound=Callable[..., Any])
_public: set[str] = set()
_from_outside: list[Callable[..., Any]] = []
_large: dict[str, int] = {}


def public(view: _View) -> _View:
    """Mark a view as open to everyone; goes below ``@web.get``."""
    _public.add(f"{web.name}.{view.__name__}")
    return view


def from_outside(view: _View) -> _View:
    """Mark a view whose form comes from no page of ours, and proves itself by its address; goes below ``@web.post``."""
    _from_outside.append(view)
    return view


def taken_from_outside() -> Sequence[Callable[..., Any]]:
    """Return the views that the forgery check leaves alone."""
    return tuple(_from_outside)


def takes(most_bytes: int) -> Callable[[_View], _View]:
    """Mark a view whose form may be larger than others': so many bytes; goes below ``@web.post``.

    The view itself would be too late to say so: the forgery check reads the form before.
    """

    def mark(view: _View) -> _View:
        _large[f"{web.name}.{view.__name__}"] = most_bytes
        return view

    return mark


def most_bytes(endpoint: str) -> int | None:
    """Return how large a view's form may be, None where it is like others'."""
    return _large.get(endpoint)


def is_public(endpoint: str) -> bool:
    """Whether a view may be seen without signing in."""
    return endpoint in _public
