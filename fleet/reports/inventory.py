"""What there is: apps and licences, versions of systems and until when they are supported, deliveries and age.

These are of this moment: nothing in them is kept day by day; apps are as the job ``day-figures`` counted them last. An
app that nobody has put into the catalogue and that
fewer than :data:`SMALL_GROUP` tablets have is counted with its like, as its name could be traced to one child.
"""

from collections import defaultdict
from datetime import date
from typing import Any

from sqlalchemy import Select, case, extract, func, select

from fleet.apps import licences
from fleet.apps.models import App
from fleet.db import db
from fleet.devices.models import Device, DeviceLife, DeviceState, Platform
from fleet.reports import support_table
from fleet.reports.asking import Asked, Place, place
from fleet.reports.findings import read
from fleet.reports.models import SMALL_GROUP, AppUse
from fleet.reports.sheet import Chart, Column, Drawn, Kind, Sheet
from fleet.schools.models import School, SchoolClass

_DAYS_OF_A_YEAR = 365.25
_BARS = 20


def apps(asked: Asked) -> Sheet:
    """Build on how many tablets each app is, beside the licences that were bought; six statements."""
    where = place(asked)
    installed = {(row[0], row[1]): int(row[2]) for row in db.session.execute(_installed(asked, where))}
    known = select(App.platform, App.app_id, App.name, App.store_id)
    stock = {one.store_id: one for one in licences.figures()}
    rows: list[tuple[Any, ...]] = []
    for platform, app_id, name, store_id in db.session.execute(known):
        if asked.given.platform not in {None, platform}:
            continue
        have: licences.Figures | None = (
            stock.get(store_id) if store_id is not None and platform is Platform.IPADOS else None
        )
        bought: tuple[int | None, ...] = (None,) * 4
        if have is not None:
            bought = (have.bought, have.assigned, have.bought - have.assigned, have.lacking)
        rows.append((name, app_id, platform.value, True, installed.pop((platform, app_id), 0), *bought))
    small = sum(1 for number in installed.values() if number < SMALL_GROUP)
    others = ((key, number) for key, number in installed.items() if number >= SMALL_GROUP)
    rows += [(None, app_id, platform.value, False, number, *(None,) * 4) for (platform, app_id), number in others]
    rows.sort(key=lambda row: (-row[4], row[1]))
    columns = (
        Column("app", Kind.TEXT), Column("app-id", Kind.TEXT), Column("platform", Kind.CODE, "platform"),
        Column("in-catalogue", Kind.CODE, "yes-no"), Column("installed"), Column("bought"), Column("assigned"),
        Column("unused"), Column("lacking"),
    )  # fmt: skip
    most = [row for row in rows if row[4]][:_BARS]
    chart = Chart(
        "apps-installed", Drawn.BARS, [row[0] or row[1] for row in most], columns[0],
        [("installed", [row[4] for row in most])],
    )  # fmt: skip
    sums = [sum(row[at] or 0 for row in rows) for at in (5, 6)]
    tells = [(Column("apps"), len(rows)), (columns[5], sums[0]), (columns[6], sums[1]), (Column("rare-apps"), small)]
    return Sheet(
        report="apps", since=None, until=asked.today, place=where.name, columns=columns, rows=rows, count=len(rows),
        charts=[chart] if most else [], tells=tells,
        notes=("counted-hourly", "rare-apps", *(("licences-everywhere",) if where.name else ())),
    )  # fmt: skip


def _installed(asked: Asked, where: Place) -> Select[Any]:
    """Select platform, app and number of tablets in use that say they have it, as it was counted last."""
    columns: list[Any] = [AppUse.platform, AppUse.app_id, func.sum(AppUse.tablets)]
    query = select(*columns).where(where.at(AppUse.school_id))
    if asked.given.platform is not None:
        query = query.where(AppUse.platform == asked.given.platform)
    return query.group_by(AppUse.platform, AppUse.app_id)


def _narrowed(asked: Asked, where: Place) -> list[Any]:
    conditions: list[Any] = [where.at(Device.school_id)]
    if asked.given.platform is not None:
        conditions.append(Device.platform == asked.given.platform)
    return conditions


def systems(asked: Asked) -> Sheet:
    """Build which versions tablets run, and whether these still get security updates; two statements."""
    where = place(asked)
    version = DeviceState.facts["os_version"].as_string()
    query = select(Device.platform, version, func.count()).select_from(Device).join(Device.state)
    query = query.where(Device.life == DeviceLife.ENROLLED, *_narrowed(asked, where)).group_by(Device.platform, version)
    found: list[tuple[Any, ...]] = []
    majors: dict[str, int] = defaultdict(int)
    for platform, told, number in db.session.execute(query):
        support = support_table.of(platform, told, today=asked.today)
        found.append((platform.value, told, number, support.state, support.ended_on))
        majors[support.state] += number
    found.sort(key=lambda row: (row[0], _parts(row[1])), reverse=True)
    columns = (
        Column("platform", Kind.CODE, "platform"), Column("version", Kind.TEXT), Column("tablets"),
        Column("support", Kind.CODE, "support"), Column("ended-on", Kind.DAY),
    )  # fmt: skip
    states = {state: majors[state] for state in ("supported", "ended", "unknown") if majors[state]}
    chart = Chart("tablets-by-support", Drawn.BARS, list(states), columns[3], [("tablets", list(states.values()))])
    total = sum(states.values())
    return Sheet(
        report="systems", since=None, until=asked.today, place=where.name, columns=columns, rows=found,
        count=len(found), charts=[chart] if states else [],
        totals=[None, None, total, None, None] if len(found) > 1 else None, notes=("support-table",),
        tells=[(columns[2], total), (Column("not-supported"), majors["ended"])],
    )  # fmt: skip


def _parts(version: str | None) -> list[int]:
    return [int(one) if one.isascii() and one.isdecimal() else 0 for one in (version or "").split(".")[:4]]


def deliveries(asked: Asked) -> Sheet:
    """Build how many tablets of each model came in which year, how old they are and how many are not in use."""
    where = place(asked)
    came = func.coalesce(Device.listed_at, Device.created_at)
    year, month = extract("year", came), extract("month", came)
    waiting = Device.life == DeviceLife.EXPECTED

    def number(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    measures = (
        func.count(),
        number(Device.life == DeviceLife.ENROLLED),
        number(waiting),
        number(Device.life == DeviceLife.LOST),
    )
    query = select(Device.model, Device.platform, year, month, *measures)
    query = query.where(Device.life != DeviceLife.RETIRED, *_narrowed(asked, where))
    groups: dict[tuple[int, str | None, str], list[float]] = {}
    for model, platform, of_year, of_month, *told in db.session.execute(query.group_by(*query.selected_columns[:4])):
        sums = groups.setdefault((int(of_year), model, platform.value), [0, 0, 0, 0, 0.0])
        for at, one in enumerate(told):
            sums[at] += int(one)
        age = (asked.today - date(int(of_year), int(of_month), 15)).days / _DAYS_OF_A_YEAR
        sums[4] += max(0.0, age) * int(told[0])
    rows = [
        (str(came_in), model, platform, *(int(one) for one in sums[:4]), round(sums[4] / sums[0], 1))
        for (came_in, model, platform), sums in groups.items()
    ]
    rows.sort(key=lambda row: (row[0], row[3]), reverse=True)
    columns = (
        Column("year", Kind.TEXT), Column("model", Kind.TEXT), Column("platform", Kind.CODE, "platform"),
        Column("tablets"), Column("enrolled"), Column("not-enrolled"), Column("lost"), Column("age", Kind.DECIMAL),
    )  # fmt: skip
    return _delivered(asked, where, columns, rows)


def _delivered(
    asked: Asked, where: Place, columns: tuple[Column, ...], rows: list[tuple[Any, ...]]
) -> Sheet:  # fmt: skip
    years: dict[str, int] = defaultdict(int)
    for row in rows:
        years[row[0]] += row[3]
    told = dict(sorted(years.items()))
    chart = Chart("delivered-by-year", Drawn.STACKS, list(told), columns[0], [("tablets", list(told.values()))])
    sums = [sum(row[at] for row in rows) for at in range(3, 7)]
    age = round(sum(row[7] * row[3] for row in rows) / sums[0], 1) if sums[0] else None
    return Sheet(
        report="deliveries", since=None, until=asked.today, place=where.name, columns=columns, rows=rows,
        count=len(rows), charts=[chart] if told else [],
        totals=[None, None, None, *sums, age] if len(rows) > 1 else None,
        tells=[(columns[3], sums[0]), (columns[5], sums[2]), (columns[7], age)],
    )  # fmt: skip


_TABLETS = (
    Column("tag", Kind.TEXT), Column("serial", Kind.TEXT), Column("model", Kind.TEXT),
    Column("platform", Kind.CODE, "platform"), Column("version", Kind.TEXT), Column("school", Kind.TEXT),
    Column("class", Kind.TEXT), Column("cart", Kind.TEXT), Column("life", Kind.CODE, "life"),
    Column("delivered-at", Kind.INSTANT), Column("last-seen-at", Kind.INSTANT),
    Column("findings", Kind.CODE, "yes-no"),
)  # fmt: skip


def tablets(asked: Asked) -> Sheet:
    """List every tablet, with where it stands and how it is, and without whose it is; three statements."""
    where = place(asked)
    conditions = [Device.life != DeviceLife.RETIRED, *_narrowed(asked, where)]
    count = db.session.scalar(select(func.count()).select_from(Device).where(*conditions)) or 0
    query = (
        select(
            Device.asset_tag, Device.serial, Device.model, Device.platform,
            DeviceState.facts["os_version"].as_string(), School.name, SchoolClass.title, Device.cart, Device.life,
            func.coalesce(Device.listed_at, Device.created_at), DeviceState.last_seen_at, DeviceState.has_findings,
        )
        .select_from(Device)
        .join(Device.state)
        .outerjoin(School, School.id == Device.school_id)
        .outerjoin(SchoolClass, SchoolClass.id == Device.class_id)
        .where(*conditions)
        .order_by(School.name, SchoolClass.title, Device.serial)
    )  # fmt: skip
    return Sheet(
        report="tablets", since=None, until=asked.today, place=where.name, columns=_TABLETS, rows=read(query),
        count=count,
    )  # fmt: skip
