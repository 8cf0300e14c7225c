"""Alembic's environment: runs migrations over the connection the application hands it, or over its own."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB

from fleet import clock
from fleet.app import create_app
from fleet.checkins import partitions
from fleet.db import Base, Document, UTCDateTime, db


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write our column types as SQLAlchemy's own, so that a migration imports nothing of the application."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and item is Document:
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def compare_type(_context: Any, _column: Any, _metadata_column: Any, inspected: Any, wanted: Any) -> bool | None:
    """Tell that what a database shows for our own types is the same type; None asks Alembic itself."""
    if isinstance(wanted, UTCDateTime):
        return False
    if wanted is Document:
        return not isinstance(inspected, JSONB) and type(inspected).__name__ != "JSON"
    return None


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave out the parts of the log of check-ins, of which the models say nothing."""
    return kind != "table" or name is None or not partitions.is_partition(name)


def after_step(ctx: MigrationContext, step: MigrationInfo, heads: Any, run_args: Any) -> None:  # noqa: ARG001 (given by name)
    """Have a log of check-ins that can take them: which days there are is no matter of a migration's text."""
    if step.is_upgrade and ctx.connection is not None:
        partitions.prepare(ctx.connection, now=clock.now())


def run(connection: Connection) -> None:
    """Run the migrations asked for over ``connection``."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render_item,
        compare_type=compare_type,
        include_name=include_name,
        on_version_apply=after_step,
    )
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_app().app_context(), db.engine.connect() as own:
        run(own)
        own.commit()
