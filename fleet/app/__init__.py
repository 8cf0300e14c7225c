"""Where everything is put together: the only package that sees all areas and doors."""

from fleet.app.flask_app import create_app

__all__ = ["create_app"]
