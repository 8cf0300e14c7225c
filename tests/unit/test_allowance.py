"""What one tablet or account may send to this process."""

from datetime import timedelta

from fleet.allowance import Allowance
from tests.conftest import NOW


def test_so_many_at_once_then_one_more_each_while() -> None:
    allowance = Allowance(3, 2.0, kept=10)
    assert [allowance.take(1, NOW) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [allowance.take(1, NOW + timedelta(seconds=1)) for _ in range(2)] == [False] * 2
    assert [allowance.take(1, NOW + timedelta(seconds=3)) for _ in range(2)] == [True, False]
    assert [allowance.take(1, NOW + timedelta(hours=1)) for _ in range(4)] == [True] * 3 + [False]


def test_asking_in_vain_costs_nothing_and_a_clock_set_back_gives_nothing() -> None:
    allowance = Allowance(1, 2.0, kept=10)
    assert allowance.take(1, NOW)
    assert not any(allowance.take(1, NOW + timedelta(seconds=number / 10)) for number in range(19))
    assert allowance.take(1, NOW + timedelta(seconds=2))
    assert not allowance.take(1, NOW - timedelta(hours=1))


def test_tablets_are_counted_apart_and_only_so_many_are_remembered() -> None:
    allowance = Allowance(1, 60.0, kept=2)
    assert all(allowance.take(device, NOW) for device in (1, 2))
    assert not any(allowance.take(device, NOW) for device in (1, 2))
    assert allowance.take(3, NOW)
    assert allowance.take(1, NOW)  # forgotten for the third
    assert len(allowance._used) == 2


def test_what_is_given_back_may_be_used_again_and_no_more_than_that() -> None:
    allowance = Allowance(2, 60.0, kept=10)
    assert all(allowance.take("10.0.0.5", NOW) for _ in range(2))
    allowance.give_back("10.0.0.5")
    assert [allowance.take("10.0.0.5", NOW) for _ in range(2)] == [True, False]
    for _ in range(5):
        allowance.give_back("10.0.0.5")
        allowance.give_back("unknown")
    assert [allowance.take("10.0.0.5", NOW) for _ in range(3)] == [True, True, False]
