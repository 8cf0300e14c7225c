"""Texts in the page's language, typed. :func:`translated` is imported as ``_``, the name catalogues are made from."""

from typing import Any

from babel import Locale
from flask_babel import get_locale, gettext


def translated(message: str, **values: Any) -> str:
    """Return ``message`` in the page's language, with ``values`` put in."""
    return str(gettext(message, **values))


_ENGLISH = Locale("en", "GB")  # as here: the day before the month, and hours up to 24


def locale() -> Locale:
    """Return the page's language and its customs."""
    found: Locale = get_locale()
    return _ENGLISH if found.language == _ENGLISH.language else found
