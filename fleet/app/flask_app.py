"""The Flask application: the staff's door, and the context in which the domain runs."""

import os
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask, request
from sqlalchemy import URL, make_url

import fleet.alerts.models
import fleet.android.models
import fleet.assignments.models
import fleet.audit
import fleet.checkins.models
import fleet.checkup.belonging
import fleet.compliance.models
import fleet.devices.models
import fleet.job_runs
import fleet.lessons.models
import fleet.mdm.models
import fleet.people.models
import fleet.reports.models
import fleet.schools.models
import fleet.schools.roster.apply
import fleet.uploads  # noqa: F401 (the models, so that metadata is whole)
from fleet import clock, crypto, orders, reaching_postgresql, statements
from fleet import config as configuration
from fleet.alerts import events
from fleet.android import following as androids
from fleet.app import report_writer
from fleet.apps import licences
from fleet.assignments import materialise, named
from fleet.checkup.checks import Check
from fleet.compliance import review
from fleet.config import Config
from fleet.db import db, engine_options, prepare_sqlite
from fleet.devices import holders
from fleet.jobs import timetable
from fleet.lessons import following


class _Staff(Flask):
    """Flask, but for what it logs."""

    def log_exception(self, exc_info: Any) -> None:
        """Log a fault under the view's name, as the path may hold a one-time link, which is still good."""
        self.logger.error("fault in %s [%s]", request.endpoint, request.method, exc_info=exc_info)


def _examine(app: Flask, *, reach: bool) -> list[Check]:
    from fleet.app import doctor  # noqa: PLC0415 (the command line starts faster without)

    return doctor.examine(app, reach=reach, now=clock.now)


def create_app(
    config: Config | None = None, *, environ: Mapping[str, str] | None = None, with_pages: bool = True
) -> Flask:
    """Make the Flask application.

    Args:
        config: the configuration; read from ``environ`` where not given.
        environ: where to read the configuration from; the process environment where not given.
        with_pages: whether it has the staff pages; the command line starts faster without.

    Raises:
        ConfigError: a setting is missing or wrong.
    """
    config = config or configuration.load(os.environ if environ is None else environ)
    url: URL = make_url(config.database_url)
    if config.is_sqlite and url.database:
        path = Path(url.database)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)  # owner-only from the first byte; SQLite gives its journal the same rights
    app = _Staff("fleet", static_folder=None)
    app.url_map.merge_slashes = False  # its redirect would name whatever host the caller says
    app.config.update(
        SQLALCHEMY_DATABASE_URI=url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(
            config.database_url,
            connections=config.database_connections,
            behind_pooler=config.direct_database_url is not None,
        ),
        SECRET_KEY=crypto.read_or_create(config.secrets_dir / "session.key", secrets.token_bytes(32)),
    )
    app.extensions["fleet_config"] = config
    app.extensions["fleet_timetable"] = timetable.scheduled()  # for the pages, which may not know the jobs
    with app.app_context():
        holders.follow_changes()
        licences.follow_changes()
        materialise.follow_changes()
        named.follow_changes()
        review.follow_changes()
        orders.follow_changes()
        following.follow_changes(config.timezone)
        androids.follow_changes()
        events.follow_changes()
    report_writer.install(app)
    app.extensions["fleet_examine"] = partial(
        _examine, app
    )  # for the command line, which may not know all that is asked
    db.init_app(app)
    with app.app_context():
        (prepare_sqlite if config.is_sqlite else reaching_postgresql.prepare)(db.engine)
        statements.watch(db.engine, slow_ms=config.slow_statement_ms)
    if with_pages:
        from fleet import web  # noqa: PLC0415 (see with_pages)

        web.register(app)
    return app
