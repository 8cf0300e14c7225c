"""Dates and times as people type them."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.cli.moments import Day, Moment, instant

OSLO = ZoneInfo("Europe/Oslo")
AT = datetime(2026, 12, 1, 14, 30)  # noqa: DTZ001 (as typed)
DAY = datetime(2026, 12, 1)  # noqa: DTZ001
ZONED = datetime(2026, 12, 1, 14, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("01.12.2026", DAY), ("1.12.2026", DAY), ("2026-12-01", DAY),
        ("01.12.2026 14:30", AT), ("1.12.2026 14.30", AT), ("01.12.2026 kl. 14:30", AT), (" 01.12.2026  14:30 ", AT),
        ("2026-12-01T14:30", AT), ("2026-12-01 14:30", AT), ("2026-12-01T14:30:05", AT.replace(second=5)),
        ("2026-12-01T14:30+02:00", ZONED), ("2026-12-01T14:30:00+0200", ZONED), ("2026-12-01T14:30Z", AT.replace(tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_time_is_typed_the_norwegian_way_or_as_iso(told: str, meant: datetime) -> None:
    assert Moment().convert(told, None, None) == meant
    assert Moment().convert(meant, None, None) is meant


@pytest.mark.parametrize("told", ["01.12.2026", "1.12.2026", "2026-12-01"])
def test_a_date_is_typed_the_norwegian_way_or_as_iso(told: str) -> None:
    assert Day().convert(told, None, None) == date(2026, 12, 1)
    assert Day().convert(date(2026, 12, 1), None, None) == date(2026, 12, 1)


BAD = [
    "",
    "i morgen",
    "31.11.2026",
    "2026-13-01",
    "01.12.26",
    "12/01/2026",
    "01.12.0001",
    "2199-01-01",
    "01.12.2026 25:00",
    "14:30",
]


@pytest.mark.parametrize("told", BAD)
def test_what_is_no_time_is_told_what_is_one(told: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        Moment().convert(told, None, None)
    assert "such as 01.12.2026, 01.12.2026 14:30 or 2026-12-01T14:30" in refused.value.message
    assert "%" not in refused.value.message


@pytest.mark.parametrize("told", [*BAD, "01.12.2026 14:30", "2026-12-01T14:30"])
def test_what_is_no_date_is_told_what_is_one(told: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        Day().convert(told, None, None)
    assert refused.value.message.endswith("write one such as 01.12.2026 or 2026-12-01")


@given(st.text(alphabet="0123456789.-: TZ+klK"))
def test_nothing_that_is_typed_is_more_than_refused(told: str) -> None:
    try:
        found = instant(Moment().convert(told, None, None), OSLO)
    except click.BadParameter:
        return
    assert found is not None
    assert found.astimezone(UTC).year in range(1999, 2102)


def test_a_time_without_a_zone_is_the_schools() -> None:
    assert instant(AT, OSLO) == datetime(2026, 12, 1, 13, 30, tzinfo=UTC)
    assert instant(ZONED, OSLO) == datetime(2026, 12, 1, 12, 30, tzinfo=UTC)
    assert instant(None, OSLO) is None
