"""Lessons, whole: a real server, tablets that wait at it over real sockets, teachers on the pages and elsewhere.

Polls are a minute apart here, so whatever arrives within seconds came through a request that waited. Each test looks at
the tablet (what is in force, and since when) and at what the server says of it. Times are short; nothing is faked.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent_protocol import timing
from fleet import clock
from fleet.lessons import tablets
from fleet.lessons.views import Stage, State
from tests.agents import AgentProcess, eventually
from tests.conftest import MakeUrl
from tests.extent import on
from tests.lesson_site import BEHIND_PROXY, HERE, Browser, Site, hosts, number_in, site, told
from tests.lessons import seen

pytestmark = [pytest.mark.serves, on("postgresql")]

RETRY_S = 60.0  # in which a tablet has tried again that found no server: after 10 to 15 s, then 20 to 30
AT_SCHOOL, AT_HOME = "10.1.0.9", "198.51.100.9"


@pytest.fixture(scope="module")
def shared(make_database: MakeUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site for tests that leave its server alone; each has a school of its own."""
    folder = tmp_path_factory.mktemp("lessons")
    with site(make_database(folder), folder / "data", proxies="127.0.0.1") as made:
        made.tell_networks(HERE, BEHIND_PROXY)
        yield made


@pytest.fixture
def own(fresh_url: str, tmp_path: Path) -> Iterator[Site]:
    """Return a site whose server the test may stop and kill."""
    with site(fresh_url, tmp_path / "data") as made:
        yield made


@contextmanager
def agent_in(folder: Path) -> Iterator[AgentProcess]:
    made = AgentProcess(folder)
    yield made
    if made.is_running:
        made.stop(signal.SIGKILL)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    """Return a real agent that is not told its server and ticket yet."""
    with agent_in(tmp_path / "state") as made:
        yield made


@pytest.fixture
def other_agent(tmp_path: Path) -> Iterator[AgentProcess]:
    """Return another one."""
    with agent_in(tmp_path / "other-state") as made:
        yield made


def sleep_until(instant: datetime, *, more_s: float) -> None:
    """Let an instant pass, and some seconds more."""
    time.sleep(max(0.0, (instant - clock.now()).total_seconds() + more_s))


def test_a_lesson_started_on_the_command_line_arrives_within_seconds_and_is_seen_to(shared: Site) -> None:
    room = shared.room(3)
    made = told(shared.server, "lessons", "start", room.title, "--web", room.gives, "--minutes", "10")
    assert (made["stage"], made["meant"]) == ("running", 3)
    room.arrives(made["id"])
    room.shows(made["id"], State.APPLIED)
    shown = told(shared.server, "lessons", "show", str(made["id"]))
    assert (shown["arrived"], shown["meant"]) == (3, 3)
    assert [one["state"] for one in shown["tablets"]] == ["applied"] * 3


def test_a_lesson_started_on_the_page_arrives_within_seconds_and_the_page_says_so(shared: Site) -> None:
    room = shared.room()
    browser = Browser(shared.server).sign_in(room.username)
    form = f"/classes/{room.class_id}/lesson"
    until = (clock.now() + timedelta(minutes=20)).isoformat()
    lesson_id = number_in(browser.post(form, page=form, quick="web", web_hosts=room.gives, until=until))
    room.arrives(lesson_id)
    room.shows(lesson_id, State.APPLIED)
    page = browser.ask("GET", f"/lessons/{lesson_id}").body.decode()
    assert all(f'id="tablet-{one.device_id}"' in page for one in room.pupils)


def test_an_extended_lesson_goes_on_past_its_first_end(shared: Site) -> None:
    room = shared.room()
    browser = Browser(shared.server).sign_in(room.username)
    lesson_id = room.start(for_s=shared.soon_s - 1)
    first_end = room.times(lesson_id)[1]
    page = f"/lessons/{lesson_id}"
    later = (first_end + timedelta(minutes=5)).isoformat()
    assert browser.post(f"{page}/extend", page=page, until=later).status == 303
    assert room.times(lesson_id)[1] == first_end + timedelta(minutes=5)
    room.arrives(lesson_id)
    sleep_until(first_end, more_s=1.5)
    assert [hosts(one) for one in room.tablets] == [[room.gives]] * 2
    assert all(one.switched_at < first_end for one in room.tablets)
    room.shows(lesson_id, State.APPLIED)
    assert room.stage(lesson_id) is Stage.RUNNING


def test_a_lesson_ended_on_the_page_ends_within_seconds_and_leaves_a_receipt(shared: Site) -> None:
    room = shared.room()
    browser = Browser(shared.server).sign_in(room.username)
    lesson_id = room.start()
    room.arrives(lesson_id)
    room.shows(lesson_id, State.APPLIED)
    page = f"/lessons/{lesson_id}"
    assert browser.post(f"{page}/end", page=page).status == 303
    room.ends(lesson_id)
    room.has_receipt(lesson_id)


def test_a_lesson_ends_by_the_clock_with_the_server_dead_and_the_receipt_follows(
    own: Site, agent: AgentProcess
) -> None:
    room = own.room(2, is_present=False)
    room.have_agents(agent)
    room.tablets[1].on()
    room.await_present()
    lesson_id = room.start(for_s=own.soon_s + 1)
    room.arrives(lesson_id, agent, room.tablets[1])
    room.shows(lesson_id, State.APPLIED)
    ends_at = room.times(lesson_id)[1]
    sleep_until(ends_at, more_s=-3)  # the first time they try again is ten seconds after this
    own.server.stop(signal.SIGKILL)
    assert clock.now() < ends_at, "too late to show anything"
    room.ends(lesson_id, agent, room.tablets[1])
    own.server.start()
    room.shows(lesson_id, State.BACK, within_s=RETRY_S)
    assert all(row.since is not None and row.since > ends_at for row in room.rows(lesson_id).values())
    assert room.stage(lesson_id) is Stage.OVER


def test_who_comes_late_gets_what_is_left_and_who_comes_after_the_end_nothing(shared: Site) -> None:
    room = shared.room(3, network=HERE, is_present=False)
    early, late, never = room.tablets
    early.on()
    for tablet in (late, never):
        tablet.enrol()
    room.await_present(1)
    with shared.database():  # the others were last heard of the day before
        yesterday = clock.now() - timedelta(days=1)
        seen([one.device_id for one in room.pupils[1:]], at=yesterday, now=yesterday)
    lesson_id = room.start(for_s=1.5 * shared.soon_s)
    room.arrives(lesson_id, early)
    room.shows(lesson_id, State.APPLIED, State.UNSEEN, State.UNSEEN)
    came_at = clock.now()
    late.on()
    room.arrives(lesson_id, late, since=came_at)
    room.shows(lesson_id, State.APPLIED, State.APPLIED, State.UNSEEN)
    room.ends(lesson_id, early, late)
    never.on()
    room.shows(lesson_id, State.BACK, State.BACK, State.UNTOUCHED)
    eventually(lambda: bool(never.history), why="its base")
    assert never.has_had == [None]


def test_an_absent_pupils_tablet_is_not_touched(shared: Site) -> None:
    room = shared.room()
    browser = Browser(shared.server).sign_in(room.username)
    form, until = f"/classes/{room.class_id}/lesson", clock.now() + timedelta(minutes=20)
    absent = str(room.pupils[1].person_id)
    answer = browser.post(form, page=form, quick="web", web_hosts=room.gives, until=until.isoformat(), absent=absent)
    lesson_id = number_in(answer)
    here, away = room.tablets
    room.arrives(lesson_id, here)
    room.shows(lesson_id, State.APPLIED, State.ABSENT)
    room.end(lesson_id)
    room.ends(lesson_id, here)
    room.shows(lesson_id, State.BACK, State.UNTOUCHED)
    assert away.has_had == [None]


def test_a_tablet_outside_the_schools_networks_is_not_touched_and_one_that_leaves_is_let_go(shared: Site) -> None:
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
    here.address, left_at = AT_HOME, clock.now()
    here.on()
    room.is_let_go(here, since=left_at)
    room.shows(lesson_id, State.ELSEWHERE)
    room.end(lesson_id)
    room.shows(lesson_id, State.BACK, State.UNTOUCHED)
    assert away.has_had == [None]


def test_a_tablet_killed_in_the_lesson_goes_on_with_it_and_one_that_was_off_at_its_end_wakes_at_its_base(
    shared: Site, agent: AgentProcess, other_agent: AgentProcess
) -> None:
    room = shared.room(2, is_present=False)
    room.have_agents(agent, other_agent)
    room.await_present()
    lesson_id = room.start(for_s=1.5 * shared.soon_s)
    room.arrives(lesson_id, agent, other_agent)
    room.shows(lesson_id, State.APPLIED)
    arrived_at = agent.switched_at
    for one in (agent, other_agent):
        one.stop(signal.SIGKILL)
    agent.start()
    sleep_until(room.times(lesson_id)[1], more_s=-0.5)
    assert (hosts(agent), agent.switched_at) == ([room.gives], arrived_at)
    room.ends(lesson_id, agent)
    assert hosts(other_agent) == [room.gives]  # as long as nothing runs on it
    room.shows(lesson_id, State.BACK, State.STRAGGLER)
    started_at = clock.now()
    other_agent.start()
    room.is_let_go(other_agent, since=started_at)
    room.shows(lesson_id, State.BACK)


def test_a_tablet_killed_in_the_middle_of_the_switch_ends_in_the_lesson(shared: Site, agent: AgentProcess) -> None:
    room = shared.room(1, is_present=False)
    room.have_agents(agent)
    room.await_present()
    agent.stop()
    agent.start("tests.dying_agent", "before")
    lesson_id = room.start()
    assert agent.ended() == -signal.SIGKILL
    assert hosts(agent) is None
    room.shows(lesson_id, State.FETCHED)
    agent.start("tests.dying_agent", "half")
    assert agent.ended() == -signal.SIGKILL
    assert agent.settings is None
    started_at = clock.now()
    agent.start()
    room.arrives(lesson_id, agent, since=started_at)
    room.shows(lesson_id, State.APPLIED)
    room.end(lesson_id)
    room.ends(lesson_id, agent)
    room.has_receipt(lesson_id)


def test_of_two_lessons_the_later_has_the_pupil_one_tap_hands_it_back_and_no_lock_is_left(shared: Site) -> None:
    basic = shared.room(3)
    maths = shared.group_of(basic, 1, 2)
    mine, handed, taken = basic.tablets
    first = basic.start()
    basic.arrives(first)
    second = maths.start()
    maths.arrives(second)
    basic.shows(first, State.APPLIED, State.TAKEN, State.TAKEN)
    maths.shows(second, State.APPLIED)
    others = [basic.rows(first)[taken.serial].other, maths.rows(second)[taken.serial].other]
    assert [one.class_title for one in others if one is not None] == [maths.title, basic.title]

    handed_at = clock.now()
    with shared.database():
        tablets.hand_to(
            second, [basic.pupils[1].device_id], other_id=first, by=maths.teacher, now=handed_at,
            timezone=shared.config.timezone,
        )  # fmt: skip
    basic.arrives(first, handed, since=handed_at)
    basic.shows(first, State.APPLIED, State.APPLIED, State.TAKEN)
    maths.shows(second, State.TAKEN, State.APPLIED)

    maths.end(second)
    maths.ends(second, taken)
    assert [hosts(mine), hosts(handed)] == [[basic.gives]] * 2
    basic.end(first)
    basic.ends(first, mine, handed)
    basic.shows(first, State.BACK)
    maths.shows(second, State.BACK)
    assert taken.has_had == [None, [basic.gives], [maths.gives], None]
    assert handed.has_had == [None, [basic.gives], [maths.gives], [basic.gives], None]


def test_a_lesson_handed_to_a_colleague_is_the_colleagues_to_end(shared: Site) -> None:
    room = shared.room(1)
    colleague = shared.group_of(room)
    browser, other = (Browser(shared.server).sign_in(one.username) for one in (room, colleague))
    lesson_id = room.start()
    room.arrives(lesson_id)
    page = f"/lessons/{lesson_id}"
    assert other.ask("GET", page).status == 404
    assert browser.post(f"{page}/hand-over", page=page, account_id=colleague.teacher.id).status == 303
    assert hosts(room.tablets[0]) == [room.gives]
    assert other.post(f"{page}/end", page=page).status == 303
    room.ends(lesson_id)
    room.has_receipt(lesson_id)


def test_a_teacher_of_another_class_can_neither_start_nor_end_a_lesson_of_it(shared: Site) -> None:
    room = shared.room(1)
    other = Browser(shared.server).sign_in(shared.group_of(room).username)
    form = f"/classes/{room.class_id}/lesson"
    assert other.ask("GET", form).status == 404
    assert other.post(form, page="/lessons", quick="eyes").status == 404
    assert room.tablets[0].has_had == [None]

    lesson_id = room.start()
    room.arrives(lesson_id)
    assert other.ask("GET", f"/lessons/{lesson_id}").status == 404
    for act in ("end", "extend", "set", "tablets", "hand-over", "message"):
        answer = other.post(f"/lessons/{lesson_id}/{act}", page="/lessons", minutes="5", text="x", account_id="1")
        assert answer.status in {400, 404}, (act, answer.status)
    assert room.stage(lesson_id) is Stage.RUNNING
    assert room.tablets[0].has_had == [None, [room.gives]]


def test_a_server_restarted_in_the_lesson_goes_on_with_it_and_tablets_wait_again(
    own: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "FIRST_RETRY_S", 1)  # the tablets try again sooner than in life
    room = own.room()
    lesson_id = room.start()
    room.arrives(lesson_id)
    room.shows(lesson_id, State.APPLIED)
    for how in (signal.SIGTERM, signal.SIGKILL):
        own.server.stop(how)
        stopped_at = clock.now()
        own.server.start()
        room.await_present(since=stopped_at, within_s=RETRY_S)
        assert [hosts(one) for one in room.tablets] == [[room.gives]] * 2
        room.shows(lesson_id, State.APPLIED)
    room.end(lesson_id)
    room.ends(lesson_id)
    room.has_receipt(lesson_id)
