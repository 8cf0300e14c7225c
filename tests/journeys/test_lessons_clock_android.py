"""Lessons where the clocks change, with an Android tablet: the same stories, in simulated time.

Polls are not held here, as time stands still meanwhile; the tablet asks every half minute instead, so it may switch that
much late. On the second it does in real time (tests/journeys/test_lessons_android.py).
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask

from fleet import outbox
from fleet.android import admin_password
from fleet.channels.gate import Channel
from fleet.channels.headwind import door
from fleet.channels.headwind.door import HeadwindChannel
from fleet.channels.headwind.work import Work
from fleet.config import Config
from fleet.devices.models import Platform
from tests.android_school import extras
from tests.headwind_agent import HeadwindAgent
from tests.journeys.test_lessons_clock import (  # noqa: F401 (the same stories, with an Android tablet)
    Clockwork,
    test_a_lesson_in_the_night_in_which_the_clocks_change_ends_after_its_true_length,
    test_a_weekly_lesson_is_at_the_same_local_time_before_and_after_the_clocks_change,
)
from tests.lesson_androids import settings_of

ASKS_EVERY = timedelta(seconds=30)


class AndroidClockwork(Clockwork):
    """A server, its jobs and one Android tablet, all by one clock."""

    platform = Platform.ANDROID
    switches_within = (timedelta(), ASKS_EVERY)

    def _channel(self, app: Flask, config: Config) -> Channel:
        work = Work(app, admin_password.secret(config.secrets_dir), now=self._read)
        dice = random.Random(1)  # noqa: S311 (repeatable)
        return HeadwindChannel(work, presence=self._presence, now=self._read, dice=dice, queue_limit=100)

    def _take_out(self) -> None:
        self._agent = HeadwindAgent(self.door.send, "KLOKKE1", now=self._read, on_change=self._note)
        self._ask_at = self.now

    def _note(self) -> None:
        found = settings_of(self._agent).get("web.allowed")
        if not self.switches or self.switches[-1][1] != found:
            self.switches.append((self.now, found))

    def _next_step_at(self) -> datetime:
        return self._ask_at

    def _step(self) -> None:
        if self._agent.config is None:
            self._agent.enrol(extras(self._code))
            self._agent.in_front = False
        if self._ask_at <= self.now:
            self._agent.poll()
            self._ask_at = self.now + ASKS_EVERY

    def ring(self, device_ids: frozenset[int]) -> None:
        """Have the tablet ask at once."""
        if self.device_id in device_ids:
            self._ask_at = self.now


@pytest.fixture
def clockwork(own_app: Flask, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clockwork]:
    """Return a clockwork; the test is parametrised with when it begins."""
    monkeypatch.setattr(door, "HOLD_S", 0.0)
    made = AndroidClockwork(own_app, request.param)
    stop = outbox.add_ring(made.ring)
    made.door.start()
    yield made
    made.door.stop()
    stop()
