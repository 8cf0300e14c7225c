"""Texts in the page's language, typed. :func:`translated` is imported as ``_``, the name catalogues are made from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from babel import Locale
from flask import Flask, g
from flask_babel import force_locale, get_locale, get_translations

_KEPT = "fleet_texts"


def translated(message: str, **values: Any) -> str:
    """Return ``message`` in the page's language, with ``values`` put in."""
    text = _texts()(message)
    return text % values if values else text


def _texts() -> Callable[[str], str]:
    """Return what translates a message for this page, found once: a page asks a thousand times."""
    try:
        known: Callable[[str], str] | None = g.get(_KEPT)
    except RuntimeError:  # outside an application's context texts are as they are written
        return str
    if known is None:
        known = get_translations().ugettext
        setattr(g, _KEPT, known)
    return known


def install(app: Flask) -> None:
    """Have templates translate in the same way."""
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        gettext=translated,
        ngettext=lambda one, many, number: get_translations().ungettext(one, many, number),
        newstyle=True,
    )


@contextmanager
def in_language(code: str) -> Iterator[None]:
    """Speak a language inside, whatever the page's is."""
    kept = g.pop(_KEPT, None)
    try:
        with force_locale(code):
            yield
    finally:
        setattr(g, _KEPT, kept)


_ENGLISH = Locale("en", "GB")  # as here: the day before the month, and hours up to 24


def locale() -> Locale:
    """Return the page's language and its customs."""
    found: Locale = get_locale()
    return _ENGLISH if found.language == _ENGLISH.language else found
