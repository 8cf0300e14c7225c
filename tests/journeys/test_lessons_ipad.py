"""Lessons with iPads: the stories of tablets with our agent, told once more by iPads which are rung.

Polls of an iPad are hours apart, so whatever arrives within seconds came because it was rung. What iPads promise less
than tablets with our agent, each shown by a test here and told in fleet/docs/ipad.md:

- *Rung, not waiting*: a start, a change and an early end take as long as the push service; here up to twelve seconds,
  as another process makes them (``IPAD_WITHIN_S``).
- *Whole seconds*: the end by the iPad's own clock may come up to a second early (``WHOLE_SECOND_S``).
- *Nobody tells of the end*: the server learns that an iPad is back when that calls next, so the receipt has the time of
  its call (``JOB_S``), not of the end.
- *An iPad that leaves the school* keeps the lesson until it calls next, or until the lesson's own end.
- *Busy*: a locked iPad may say "not now", and has the lesson, or its early end, once it is free.
- *Planned*: a lesson that was planned begins when the iPad is rung for it, not by its own clock
  (tests/journeys/test_lessons_clock_ipad.py).
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet import clock
from fleet.db import db
from fleet.devices.models import DeviceState
from fleet.lessons.views import Stage, State
from tests.agents import eventually
from tests.conftest import MakeUrl
from tests.extent import on
from tests.journeys.test_lessons import (  # noqa: F401 (the same stories, with iPads)
    AT_HOME,
    AT_SCHOOL,
    test_a_lesson_ended_on_the_page_ends_within_seconds_and_leaves_a_receipt,
    test_a_lesson_handed_to_a_colleague_is_the_colleagues_to_end,
    test_a_lesson_started_on_the_command_line_arrives_within_seconds_and_is_seen_to,
    test_a_lesson_started_on_the_page_arrives_within_seconds_and_the_page_says_so,
    test_a_teacher_of_another_class_can_neither_start_nor_end_a_lesson_of_it,
    test_an_absent_pupils_tablet_is_not_touched,
    test_an_extended_lesson_goes_on_past_its_first_end,
    test_of_two_lessons_the_later_has_the_pupil_one_tap_hands_it_back_and_no_lock_is_left,
    test_who_comes_late_gets_what_is_left_and_who_comes_after_the_end_nothing,
)
from tests.lesson_ipads import FILTER, IPAD_WITHIN_S, LiveIpad, ipad_site
from tests.lesson_site import BEHIND_PROXY, HERE, Live, Site, hosts, told

pytestmark = [pytest.mark.serves, on("postgresql")]
RESTRICTIONS, LOCK = "com.apple.applicationaccess", "com.apple.app.lock"


@pytest.fixture(scope="module")
def shared(make_database: MakeUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site for tests that leave its server alone; each has a school of its own."""
    folder = tmp_path_factory.mktemp("lessons")
    with ipad_site(make_database(folder), folder / "data", proxies="127.0.0.1") as made:
        made.tell_networks(HERE, BEHIND_PROXY)
        yield made


@pytest.fixture
def own(fresh_url: str, tmp_path: Path) -> Iterator[Site]:
    """Return a site whose server the test may stop and kill."""
    with ipad_site(fresh_url, tmp_path / "data") as made:
        yield made


def of(tablet: Live) -> LiveIpad:
    """Return the iPad behind a tablet of a room."""
    assert isinstance(tablet, LiveIpad)
    return tablet


def test_a_lesson_ends_by_the_ipads_clock_with_the_server_dead_and_the_receipt_follows(own: Site) -> None:
    room = own.room()
    early, late = room.tablets
    lesson_id = room.start(for_s=own.soon_s)
    room.arrives(lesson_id)
    room.shows(lesson_id, State.APPLIED)
    ends_at = room.times(lesson_id)[1]
    own.server.stop(signal.SIGKILL)
    late.off()
    assert clock.now() < ends_at, "too late to show anything"
    assert [hosts(one) for one in room.tablets] == [[room.gives]] * 2
    own.within_s = 4.0  # nobody has to tell them
    room.ends(lesson_id, early)
    assert hosts(late) is None
    own.within_s = IPAD_WITHIN_S
    own.server.start()
    room.shows(lesson_id, State.BACK, State.STRAGGLER)
    late.on()
    room.shows(lesson_id, State.BACK)
    assert all(row.since is not None and row.since > ends_at for row in room.rows(lesson_id).values())
    assert room.stage(lesson_id) is Stage.OVER
    assert early.has_had == late.has_had == [None, [room.gives], None]


def test_a_server_restarted_in_the_lesson_goes_on_with_it_and_rings_again(own: Site) -> None:
    room = own.room()
    lesson_id = room.start()
    room.arrives(lesson_id)
    room.shows(lesson_id, State.APPLIED)
    for how in (signal.SIGTERM, signal.SIGKILL):
        own.server.stop(how)
        own.server.start()
        assert [hosts(one) for one in room.tablets] == [[room.gives]] * 2
        room.shows(lesson_id, State.APPLIED)
    room.end(lesson_id)
    room.ends(lesson_id)
    room.has_receipt(lesson_id)
    assert all(one.has_had == [None, [room.gives], None] for one in room.tablets)


def test_an_ipad_outside_the_schools_networks_is_not_touched_and_one_that_left_is_let_go_when_it_calls(
    shared: Site,
) -> None:
    room = shared.room(2, network=BEHIND_PROXY, is_present=False)
    here, away = room.tablets
    here.address, away.address = AT_SCHOOL, AT_HOME
    for tablet in room.tablets:
        tablet.on()
    room.await_present()
    lesson_id = room.start()
    room.arrives(lesson_id, here)
    room.shows(lesson_id, State.APPLIED, State.ELSEWHERE)
    here.off()
    here.address = AT_HOME
    here.on()
    assert hosts(here) == [room.gives]  # it waits at nobody's door, so nobody knows
    called_at = clock.now()
    of(here).come()
    room.is_let_go(here, since=called_at)
    room.shows(lesson_id, State.ELSEWHERE)
    room.end(lesson_id)
    room.shows(lesson_id, State.BACK, State.UNTOUCHED)
    assert away.has_had == [None]


def test_an_ipad_that_is_busy_has_the_lesson_once_it_is_not(shared: Site) -> None:
    room = shared.room()
    free, busy = room.tablets
    of(busy).ipad.is_busy = True
    lesson_id = room.start()
    room.arrives(lesson_id, free)
    room.shows(lesson_id, State.APPLIED, State.FETCHED)
    assert hosts(busy) is None
    freed_at = clock.now()
    of(busy).ipad.is_busy = False
    room.arrives(lesson_id, busy, since=freed_at)
    room.shows(lesson_id, State.APPLIED)
    of(busy).ipad.is_busy = True
    room.end(lesson_id)
    room.ends(lesson_id, free)
    room.shows(lesson_id, State.BACK, State.STRAGGLER)
    assert hosts(busy) == [room.gives]  # until it is free again, or the lesson's own end
    of(busy).ipad.is_busy = False
    room.shows(lesson_id, State.BACK)
    assert hosts(busy) is None


def test_an_ipad_that_refuses_the_lessons_profile_has_nothing_of_it_and_says_what(shared: Site) -> None:
    room = shared.room()
    willing, other = room.tablets
    of(other).ipad.unable = frozenset({FILTER})
    lesson_id = room.start()
    room.arrives(lesson_id, willing)
    room.shows(lesson_id, State.APPLIED, State.FAILED)

    def refused() -> list[str]:
        with shared.database():
            state = db.session.get_one(DeviceState, room.pupils[1].device_id)
            return [one["key"] for one in state.failures or ()]

    eventually(lambda: refused() == ["web.allowed"], within_s=shared.within_s, why="what was refused")
    room.end(lesson_id)
    room.ends(lesson_id, willing)
    assert other.has_had == [None]


def test_a_lesson_locks_ipads_to_one_app_of_few_and_leaves_neither(shared: Site) -> None:
    room = shared.room(1)
    ipad = of(room.tablets[0]).ipad
    eventually(lambda: bool(ipad.settings(RESTRICTIONS)), why="its base")
    base = ipad.settings(RESTRICTIONS)
    lesson_id = int(
        told(shared.server, "lessons", "start", room.title, "--apps", "no.nb.lesebok", "--locked", "--minutes", "10")[
            "id"
        ]
    )
    eventually(lambda: bool(ipad.settings(LOCK)), within_s=shared.within_s, why="the lock")
    assert ipad.settings(LOCK)["App"]["Identifier"] == "no.nb.lesebok"
    assert ipad.settings(RESTRICTIONS)["allowListedAppBundleIDs"] == ["no.nb.lesebok"]
    room.shows(lesson_id, State.APPLIED)
    assert shared.server.fleet("lessons", "end", str(lesson_id))
    room.shows(lesson_id, State.BACK)
    assert ipad.settings(LOCK) == {}
    assert ipad.settings(RESTRICTIONS) == base
