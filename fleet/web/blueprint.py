"""The one blueprint of the pages. Every view needs a signed-in account, unless it is marked :func:`public`."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint

web = Blueprint("web", __name__, template_folder="templates")

_View = TypeVar("_View", bound=Callable[..., Any])
_public: set[str] = set()


def public(view: _View) -> _View:
    """Mark a view as open to everyone; goes below ``@web.get``."""
    _public.add(f"{web.name}.{view.__name__}")
    return view


def is_public(endpoint: str) -> bool:
    """Whether a view may be seen without signing in."""
    return endpoint in _public
