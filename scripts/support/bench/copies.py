"""Many tablets at once: copies of one that stands in the database, made by a statement a table, however many."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, String, Table, cast, func, insert, literal, select, text

from fleet.db import Base, db
from fleet.devices.models import Device

_KEPT = 20  # characters of a text that has to be each row's own, before the number that makes it so


def copy(device_id: int, count: int, *models: Any) -> None:
    """Copy a tablet and its rows in other tables.

    Args:
        device_id: the tablet.
        count: how many more there shall be.
        models: whose rows with its ``device_id`` are copied, one of each.
    """
    db.session.flush()
    first: int = db.session.scalars(select(func.max(Device.id))).one()
    for name in ("device", *(str(model.__tablename__) for model in models)):
        _copy_rows(Base.metadata.tables[name], device_id, first, count)
    if db.session.get_bind().dialect.name == "postgresql":  # its own counter knows nothing of numbers that were told
        db.session.execute(text("SELECT setval(pg_get_serial_sequence('device', 'id'), max(id)) FROM device"))


def _copy_rows(table: Table, device_id: int, first: int, count: int) -> None:
    numbers = select(literal(1).label("number")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number < count))
    owner = table.c.id if table.name == "device" else table.c.device_id
    own = _own(table)
    told: dict[str, Any] = {}
    for column in table.c:
        if column is owner:
            told[column.name] = first + numbers.c.number
        elif column.name in own:
            told[column.name] = func.substr(column, 1, _KEPT).concat("-").concat(cast(first + numbers.c.number, String))
        elif column is not table.autoincrement_column:
            told[column.name] = column
    rows = select(*told.values()).select_from(table.join(numbers, literal(value=True))).where(owner == device_id)
    db.session.execute(insert(table).from_select(list(told), rows))


def _own(table: Table) -> Sequence[str]:
    """Return the texts that no two rows of a table share, and a key's name wherever it stands."""
    indexes = [index.columns.values() for index in table.indexes if index.unique]
    single: list[Column[Any]] = [columns[0] for columns in indexes if len(columns) == 1]
    single += [column for column in table.c if column.unique or column.name == "key_thumbprint"]
    single += list(table.primary_key.columns) if len(table.primary_key.columns) == 1 else []
    return [column.name for column in single if isinstance(column.type, String)]
