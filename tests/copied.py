"""A database with rows in every table there is, of values that are hard to carry from one database to another."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Double,
    Enum,
    Integer,
    LargeBinary,
    String,
    Table,
    Time,
    func,
    insert,
    select,
)

from fleet.assignments.models import Scope
from fleet.copying import opened, tables
from fleet.db import UTCDateTime

FIRST = 41  # of the ids: a copy has to go on counting after them
ROWS = 3
HARD: list[Any] = [100_000.0, 1e22, 0.1, -0.0, 10**40, -5, True, None, "", "æøå 😀 \"'\\", {"b": {}, "a": []}]
ONLY_ONE = {"municipality", "mail_server"}


def fill(url: str) -> None:
    """Put rows into every table."""
    with opened(url) as engine, engine.begin() as connection:
        made: dict[str, Sequence[Mapping[str, Any]]] = {}
        for table in tables():
            count = 1 if table.name in ONLY_ONE else ROWS
            made[table.name] = [_row(table, number, made) for number in range(count)]
            connection.execute(insert(table), made[table.name])


def counts(url: str) -> dict[str, int]:
    """Return how many rows each table has, of those that have any."""
    with opened(url) as engine, engine.connect() as connection:
        found = {table.name: _count(connection, table) for table in tables()}
    return {name: count for name, count in found.items() if count}


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _row(table: Table, number: int, made: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    row = {column.key: _value(column, number, made) for column in table.columns}
    return row | _held_together(table.name, number)


def _held_together(table: str, number: int) -> dict[str, Any]:
    """Return what the constraints of a table ask of several columns at once."""
    if table in ONLY_ONE:
        return {"id": 1}
    together: dict[str, dict[str, Any]] = {
        "lesson_plan": {"weekday": number, "on": None},
        "app_package": {"is_current": True, "replaced_at": None},
        "ticket": {"used_count": 1, "max_enrolments": 2},
        "assignment": {"scope": Scope.MUNICIPALITY, "school_id": None, "class_id": None, "device_id": None},
    }
    return together.get(table, {})


def _value(column: Column[Any], number: int, made: Mapping[str, Sequence[Mapping[str, Any]]]) -> Any:
    if column.nullable and number == 1:
        return None
    for key in column.foreign_keys:
        rows = made[key.column.table.name]
        return rows[number % len(rows)][key.column.key]
    if column.name == "weekday":
        return number
    if column is column.table.autoincrement_column:
        return FIRST + number
    return _of_type(column, number)


def _of_type(column: Column[Any], number: int) -> Any:
    """Return a value of the column's type, another one for each row."""
    kind, is_end = column.type, column.name.startswith("ends")
    if isinstance(kind, Enum):
        assert kind.enum_class is not None
        members = list(kind.enum_class)
        return members[number % len(members)]
    if isinstance(kind, String):
        return f"{number}æ😀\u00a0 "[: kind.length] + "x" * ((kind.length or 400) - 5)
    if isinstance(kind, JSON):
        return {"number": number, "hard": HARD}
    made: Mapping[type[Any], Any] = {
        UTCDateTime: datetime(2024, 10, 27, 0, 59, 59, 999_999 - number, tzinfo=UTC) + timedelta(days=is_end),
        Boolean: number % 2 == 0,
        LargeBinary: bytes([number, *range(256)]) * 40,
        BigInteger: 2**63 - 1 - number,
        Integer: 2**31 - 1 - number,
        Double: 0.1 + number,
        Date: date(2024, 2, 29) + timedelta(days=number + 300 * is_end),
        Time: time(8 + number + is_end, 15, 30),
    }
    return next(value for of, value in made.items() if isinstance(kind, of))
