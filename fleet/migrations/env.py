"""Alembic's environment: runs migrations over the connection the application hands it, or over its own."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB

from fleet.app import create_app
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


def run(connection: Connection) -> None:
    """Run the migrations asked for over ``connection``."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        render_item=render_item,
        compare_type=compare_type,
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
