"""Each fault once, under load: nothing acknowledged is lost, nothing is done twice. The long form is scripts/faults."""

from collections.abc import Iterator

import pytest

from tests.faults.kinds import FAULTS, run
from tests.faults.world import World, world

pytestmark = pytest.mark.serves


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def living(request: pytest.FixtureRequest) -> Iterator[World]:
    with world(request.param) as made:
        yield made


@pytest.mark.parametrize("name", FAULTS)
def test_all_is_well_after(living: World, name: str) -> None:
    why_not = FAULTS[name].why_not(living)
    if why_not is not None:
        pytest.skip(why_not)
    run(living, name)
