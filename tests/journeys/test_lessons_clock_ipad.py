"""Lessons where the clocks change, with an iPad: the same stories, in simulated time.

A lesson that was planned begins when the iPad is rung for it, which the job of the minute leads to, and ends by the
iPad's own clock.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask

from fleet import outbox
from fleet.channels.apple.automated import Automated
from fleet.channels.apple.door import AppleChannel
from fleet.channels.apple.proxied import ProxiedCertificates
from fleet.channels.apple.work import Work
from fleet.channels.gate import Channel
from fleet.config import Config
from fleet.crypto import vault_key_of
from fleet.devices.models import Platform
from fleet.mdm import authority, ringing
from tests import apns
from tests.ipads import Ipad
from tests.journeys.test_lessons_clock import (  # noqa: F401 (the same stories, with an iPad)
    Clockwork,
    test_a_lesson_in_the_night_in_which_the_clocks_change_ends_after_its_true_length,
    test_a_weekly_lesson_is_at_the_same_local_time_before_and_after_the_clocks_change,
)

FILTER = "com.apple.webcontent-filter"
_NEVER = datetime.max.replace(tzinfo=UTC)


class IpadClockwork(Clockwork):
    """A server that rings, its jobs and one iPad, all by one clock."""

    platform = Platform.IPADOS

    def _channel(self, app: Flask, config: Config) -> Channel:
        vault = vault_key_of(config.secrets_dir, config.vault_key_file)
        ca = authority.load(config.secrets_dir, vault, now=self.now)
        work = Work(
            app, ca, address="https://fleet.test", topic=lambda: apns.TOPIC, vault_key=vault, now=self._read
        )  # fmt: skip
        return AppleChannel(
            work, presence=self._presence, proxied=ProxiedCertificates(config.client_cert_header, config.proxies),
            automated=Automated(app, secret="", roots=None, profile=work.expected_profile, now=self._read),
            now=self._read, queue_limit=100,
        )  # fmt: skip

    def _take_out(self) -> None:
        self._ipad = Ipad(self.door.send, "KLOKKE1", now=self._read, on_change=self._note)

    def _note(self) -> None:
        listed = self._ipad.settings(FILTER).get("AllowListBookmarks")
        found = None if listed is None else [one["Title"] for one in listed if not one["URL"].startswith(".")]
        if self._ipad.changed_at is not None and (not self.switches or self.switches[-1][1] != found):
            self.switches.append((self._ipad.changed_at, found))

    def _next_step_at(self) -> datetime:
        return self._ipad.removes_next_at or _NEVER

    def _step(self) -> None:
        if not self._ipad.is_managed:
            self._ipad.enrol(self._code)
        self._ipad.keep_time()
        self._come_if_rung()

    def ring(self, device_ids: frozenset[int]) -> None:
        """Leave it to the next step: who is to be rung stands in the database."""

    def _come_if_rung(self) -> None:
        with self.door.database():
            rings = ringing.take(now=self.now)
        if rings:
            self._ipad.wake()

    def _run_jobs(self) -> None:
        super()._run_jobs()
        self._come_if_rung()


@pytest.fixture
def clockwork(own_app: Flask, request: pytest.FixtureRequest) -> Iterator[Clockwork]:
    """Return a clockwork; the test is parametrised with when it begins."""
    made = IpadClockwork(own_app, request.param)
    stop = outbox.add_ring(made.ring)
    made.door.start()
    yield made
    made.door.stop()
    stop()
