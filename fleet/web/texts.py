"""Texts in the page's language, typed. :func:`translated` is imported as ``_``, the name catalogues are made from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from babel import Locale
from flask import Flask, g
from flask_babel import force_locale, get_locale, get_translations

_KEPT = "fleet_texts"
Table = TypeVar("Table")


@dataclass(slots=True)
class _Known:
    """What is known in the page's language, found once: a page asks a thousand times."""

    translate: Callable[[str], str]
    tables: dict[Callable[[], Any], Any] = field(default_factory=dict)


def translated(message: str, **values: Any) -> str:
    """Return ``message`` in the page's language, with ``values`` put in."""
    known = _known()
    text = known.translate(message) if known is not None else message
    return text % values if values else text


def table(make: Callable[[], Table]) -> Callable[[], Table]:
    """Have a function that returns a table of texts make it once for a page, not for each row of the page."""

    @wraps(make)
    def made() -> Table:
        known = _known()
        if known is None:
            return make()
        if make not in known.tables:
            known.tables[make] = make()
        found: Table = known.tables[make]
        return found

    return made


def _known() -> _Known | None:
    """Return what is known for this page; None outside an application's context, where texts are as written."""
    try:
        known: _Known | None = g.get(_KEPT)
    except RuntimeError:
        return None
    if known is None:
        known = _Known(get_translations().ugettext)
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
