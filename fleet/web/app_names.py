"""What apps are called where pages name them by their ids: read at most once for each page, and only where it does."""

from collections.abc import Callable, Mapping

from flask import Flask, current_app, g

from fleet.apps import catalogue

_EXTENSION = "fleet_app_names"


def install(app: Flask) -> None:
    """Have pages know what apps are called, and templates say so."""
    app.extensions[_EXTENSION] = _read
    app.jinja_env.filters["app_called"] = called


def _read() -> Mapping[str, str]:
    return catalogue.names(None, None)


def known() -> Mapping[str, str]:
    """Return what apps are called by id, as far as the catalogue knows."""
    if "app_names" not in g:
        read: Callable[[], Mapping[str, str]] | None = current_app.extensions.get(_EXTENSION)
        g.app_names = read() if read is not None else {}
    names: Mapping[str, str] = g.app_names
    return names


def called(app_id: str) -> str:
    """Return what an app is called with its id behind it; the id alone where nobody has named it."""
    name = known().get(app_id)
    return f"{name} ({app_id})" if name is not None else app_id
