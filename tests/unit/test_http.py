"""What a request's headers ask for."""

import pytest

from fleet.channels.http import preferred_wait_s


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("wait=50", 50),
        ("Wait = 50", 50),
        ('wait="50"', 50),
        ("respond-async, wait=10", 10),
        ("wait=10; why=news", 10),
        ("wait=10, wait=20", 10),
        ("return=minimal,wait=7,handling=lenient", 7),
        ("wait=0", 0),
        ("wait", 0),
        ("wait=", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=1e3", 0),
        ("wait=²", 0),
        ("wait=٣", 0),
        ("wait=" + "9" * 5_000, 0),
        ("wait=x, wait=5", 0),
        ("await=5", 0),
        (",;=,", 0),
        ("", 0),
    ],
)
def test_the_first_wait_counts_and_what_is_no_number_of_seconds_is_none(told: str, seconds: int) -> None:
    assert preferred_wait_s({"prefer": told}) == seconds


def test_who_says_nothing_does_not_wait() -> None:
    assert preferred_wait_s({}) == 0
