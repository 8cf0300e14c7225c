"""Lessons with iPads: the stories of tablets with our agent, told once more by iPads which are rung.

Polls of an iPad are hours apart, so whatever arrives within seconds came because it was rung. What an iPad promises
less is an exception that is named, each with a test here or in its place, and in fleet/docs/ipad.md.
"""

from collections.abc import Iterator

import pytest

from tests.conftest import MakeUrl
from tests.journeys.test_lessons import (  # noqa: F401 (the same stories, with iPads)
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
from tests.lesson_ipads import ipad_site
from tests.lesson_site import BEHIND_PROXY, HERE, Site

pytestmark = pytest.mark.serves


@pytest.fixture(scope="module")
def shared(make_database: MakeUrl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site for tests that leave its server alone; each has a school of its own."""
    folder = tmp_path_factory.mktemp("lessons")
    with ipad_site(make_database(folder), folder / "data", proxies="127.0.0.1") as made:
        made.tell_networks(HERE, BEHIND_PROXY)
        yield made
