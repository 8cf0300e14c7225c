"""Lessons with Android tablets: the stories of tablets with our agent, told once more by tablets with the open one.

They wait at the server as ours do, with pauses of seconds, which are shorter here (``SCALE``). What they promise less
than tablets with our agent is one thing, told in fleet/docs/android.md and shown by two tests here:

- ``NO_CLOCK_OF_ITS_OWN``: the open agent cannot switch by itself. A tablet without a network when the lesson ends keeps
  it until it has one again, whichever; its teacher sees it as a straggler. So it is with one that was planned, and its
  beginning. With a network it is told on the second.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from fleet import clock
from fleet.db import db
from fleet.lessons import plans, sets
from fleet.lessons.models import Lesson, SetKind
from fleet.lessons.views import Stage, State
from fleet.schools.models import SchoolClass
from tests.agents import eventually
from tests.conftest import MakeUrl
from tests.extent import on
from tests.headwind_system import CHROME
from tests.journeys.test_lessons import (  # noqa: F401 (the same stories, with Android tablets)
    test_a_lesson_ended_on_the_page_ends_within_seconds_and_leaves_a_receipt,
    test_a_lesson_handed_to_a_colleague_is_the_colleagues_to_end,
    test_a_lesson_started_on_the_command_line_arrives_within_seconds_and_is_seen_to,
    test_a_lesson_started_on_the_page_arrives_within_seconds_and_the_page_says_so,
    test_a_tablet_outside_the_schools_networks_is_not_touched_and_one_that_leaves_is_let_go,
    test_a_teacher_of_another_class_can_neither_start_nor_end_a_lesson_of_it,
    test_an_absent_pupils_tablet_is_not_touched,
    test_an_extended_lesson_goes_on_past_its_first_end,
    test_of_two_lessons_the_later_has_the_pupil_one_tap_hands_it_back_and_no_lock_is_left,
    test_who_comes_late_gets_what_is_left_and_who_comes_after_the_end_nothing,
)
from tests.lesson_androids import LiveAndroid, android_site
from tests.lesson_site import BEHIND_PROXY, HERE, Live, Room, Site, hosts, told

pytestmark = [pytest.mark.serves, on("sqlite")]
NO_CLOCK_OF_ITS_OWN = "a tablet without a network when the lesson ends keeps it until it has one again"
HURRIED = (
    0.04  # of the agent's pauses, where tests are of those that found nobody: they ask again after a minute in life
)
AGAIN_S = 40.0


@pytest.fixture(scope="module")
def shared(make_database: MakeUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site for tests that leave its server alone; each has a school of its own."""
    folder = tmp_path_factory.mktemp("lessons")
    with android_site(make_database(folder), folder / "data", proxies="127.0.0.1") as made:
        made.tell_networks(HERE, BEHIND_PROXY)
        yield made


@pytest.fixture(scope="module")
def own(make_database: MakeUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site whose server the tests may stop and kill, and start again."""
    folder = tmp_path_factory.mktemp("own-lessons")
    with android_site(make_database(folder), folder / "data") as made:
        yield made


def of(tablet: Live) -> LiveAndroid:
    """Return the Android tablet behind a tablet of a room."""
    assert isinstance(tablet, LiveAndroid)
    return tablet


def hurry(room: Room) -> None:
    """Have tablets ask again sooner."""
    for one in room.tablets:
        of(one).scale = HURRIED


def sleep_until(instant: datetime, *, more_s: float = 0.0) -> None:
    """Let an instant pass, and some seconds more."""
    time.sleep(max(0.0, (instant - clock.now()).total_seconds() + more_s))


def test_without_a_network_at_the_end_the_lesson_stays_until_there_is_one_and_the_receipt_follows(own: Site) -> None:
    """The one exception: ``NO_CLOCK_OF_ITS_OWN``."""
    room = own.room(3)
    hurry(room)
    online, cut_off, switched_off = room.tablets
    lesson_id = room.start(for_s=own.soon_s)
    room.arrives(lesson_id)
    room.shows(lesson_id, State.APPLIED)
    of(cut_off).lose_network()
    switched_off.off()
    room.ends(lesson_id, online)
    room.shows(lesson_id, State.BACK, State.STRAGGLER, State.STRAGGLER)
    assert [hosts(one) for one in room.tablets] == [None, [room.gives], [room.gives]], NO_CLOCK_OF_ITS_OWN
    assert of(cut_off).agent.restrictions
    of(cut_off).has_network = True
    switched_off.on()
    room.shows(lesson_id, State.BACK, within_s=AGAIN_S)
    assert [one.has_had for one in room.tablets] == [[None, [room.gives], None]] * 3
    ended_at = room.times(lesson_id)[1]
    assert all(row.since is not None and row.since > ended_at for row in room.rows(lesson_id).values())
    assert room.stage(lesson_id) is Stage.OVER


def test_a_lesson_whose_end_the_server_does_not_see_ends_when_it_is_there_again(own: Site) -> None:
    """The one exception, for all tablets at once: ``NO_CLOCK_OF_ITS_OWN``."""
    room = own.room()
    hurry(room)
    lesson_id = room.start(for_s=own.soon_s)
    room.arrives(lesson_id)
    room.shows(lesson_id, State.APPLIED)
    own.server.stop(signal.SIGKILL)
    ends_at = room.times(lesson_id)[1]
    assert clock.now() < ends_at, "too late to show anything"
    sleep_until(ends_at, more_s=1)
    assert [hosts(one) for one in room.tablets] == [[room.gives]] * 2, NO_CLOCK_OF_ITS_OWN
    own.server.start()
    room.shows(lesson_id, State.BACK, within_s=AGAIN_S)
    assert [one.has_had for one in room.tablets] == [[None, [room.gives], None]] * 2
    assert room.stage(lesson_id) is Stage.OVER


def test_a_server_restarted_in_the_lesson_goes_on_with_it_and_tablets_wait_again(own: Site) -> None:
    room = own.room()
    hurry(room)
    lesson_id = room.start()
    room.arrives(lesson_id)
    room.shows(lesson_id, State.APPLIED)
    for how in (signal.SIGTERM, signal.SIGKILL):
        own.server.stop(how)
        stopped_at = clock.now()
        own.server.start()
        room.await_present(since=stopped_at)
        assert [hosts(one) for one in room.tablets] == [[room.gives]] * 2
        room.shows(lesson_id, State.APPLIED)
    room.end(lesson_id)
    room.ends(lesson_id)
    room.has_receipt(lesson_id)
    assert all(one.has_had == [None, [room.gives], None] for one in room.tablets)


def test_a_tablet_restarted_in_the_lesson_goes_on_with_it_and_is_at_its_base_after_the_end(shared: Site) -> None:
    room = shared.room(2)
    lesson_id = room.start(for_s=1.5 * shared.soon_s)
    room.arrives(lesson_id)
    room.shows(lesson_id, State.APPLIED)
    arrived_at = [one.switched_at for one in room.tablets]
    for one in room.tablets:
        one.off()
        of(one).agent.asked.clear()
        one.on()

    def wait_again() -> bool:
        return all(any("/polling/" in target for _, target in list(of(one).agent.asked)) for one in room.tablets)

    eventually(wait_again, within_s=shared.within_s, why="tablets that wait")
    assert [(hosts(one), one.switched_at) for one in room.tablets] == [([room.gives], at) for at in arrived_at]
    room.ends(lesson_id)
    room.has_receipt(lesson_id)


def plan(room: Room, *, in_s: float, for_s: float) -> tuple[datetime, datetime]:
    """Plan a lesson of today, and have it made; returns from when until when it will be."""
    now, zone = clock.now(), room.site.config.timezone
    starts_at = (now + timedelta(seconds=in_s)).replace(microsecond=0)
    ends_at = starts_at + timedelta(seconds=for_s)
    begins, ends = (one.astimezone(zone) for one in (starts_at, ends_at))
    with room.site.database():
        of_class = db.session.get_one(SchoolClass, room.class_id)
        given = sets.quick(SetKind.WEB, school_class=of_class, hosts=[room.gives], by=room.teacher, now=now)
        plans.plan(
            of_class, given, on=begins.date(), starts_at=begins.time(), ends_at=ends.time(), holder_id=None,
            by=room.teacher, now=now, timezone=zone,
        )  # fmt: skip
    room.site.server.fleet("jobs", "run-now", "planned-lessons")
    return starts_at, ends_at


def awaits(room: Room, had: Sequence[Any]) -> None:
    """Wait until every tablet has had this, one after the other."""
    within_s = room.site.within_s
    eventually(lambda: all(list(one.has_had) == had for one in room.tablets), within_s=within_s, why=f"{had}")


def test_a_planned_lesson_begins_and_ends_on_the_second_while_tablets_are_online(shared: Site) -> None:
    room = shared.room(2)
    hurry(room)  # so that each waits when it begins, and again when it ends
    starts_at, ends_at = plan(room, in_s=10, for_s=6)
    assert clock.now() < starts_at, "too late to show anything"
    for moment, had in ((starts_at, [None, [room.gives]]), (ends_at, [None, [room.gives], None])):
        sleep_until(moment)
        awaits(room, had)
    for one in room.tablets:
        began_at, ended_at = (at for at, _ in one.history[1:])
        assert timedelta() <= began_at - starts_at < timedelta(seconds=2)
        assert timedelta() <= ended_at - ends_at < timedelta(seconds=2)
    with shared.database():
        lesson_id = db.session.query(Lesson).filter_by(class_id=room.class_id).one().id
    room.shows(lesson_id, State.BACK)


def test_a_lesson_leaves_only_its_apps_to_be_seen_and_all_of_them_after_it(shared: Site) -> None:
    room = shared.room(1)
    agent = of(room.tablets[0]).agent
    before = set(agent.hidden)
    command = ("lessons", "start", room.title, "--apps", CHROME, "--minutes", "10")
    lesson_id = int(told(shared.server, *command)["id"])
    eventually(lambda: agent.hidden > before, within_s=shared.within_s, why="what is not of the lesson")
    assert agent.found(CHROME) is not None
    assert agent.found("com.google.android.youtube") is None
    room.shows(lesson_id, State.APPLIED)
    assert shared.server.fleet("lessons", "end", str(lesson_id))
    room.shows(lesson_id, State.BACK)
    assert agent.hidden == before
