"""Record the examples of the protocol anew: ``python -m tests.golden.record``.

To be run only when the protocol's version 1 gains something: recorded traffic of a released agent must go on working,
so a change of what stands there already is a break of the promise, not a matter of recording again.
"""

import sys
import tempfile
from pathlib import Path

from agent_protocol.transport import Response
from fleet import upgrading
from fleet.app import create_app
from fleet.db import db
from tests.conftest import _environ
from tests.golden import examples
from tests.golden.examples import Example
from tests.golden.readme import refreshed
from tests.golden.story import STORY
from tests.golden.world import pinned

_LEFT_OUT = {"x-request-id"}  # the server's own, different each time


def record(url: str, data_dir: Path) -> list[Example]:
    """Let the story happen on a migrated database and return its exchanges."""
    answers: dict[str, Response] = {}
    found = []
    with pinned(url, data_dir) as world:
        for step in STORY:
            step.before(world)
            asked = step.ask(world, answers)
            answer = world.send(asked, step.meanwhile)
            answers[step.name] = answer
            headers = {name: value for name, value in answer.headers.items() if name not in _LEFT_OUT}
            found.append(
                Example(
                    step.name, step.about, world.at, step.key, step.is_verifiable, asked, answer.status, headers, answer.body
                )
            )  # fmt: skip
    return found


def main() -> None:
    """Write the examples, and the blocks of the specification that show them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'fleet.sqlite3'}"
        app = create_app(environ=_environ(url, folder))
        with app.app_context():
            upgrading.upgrade()
            upgrading.finish()
            db.engine.dispose()
        found = record(url, folder)
    for path in examples.FOLDER.glob("*.json"):
        path.unlink()
    for number, example in enumerate(found, 1):
        examples.write(number, example)
    readme = examples.FOLDER.parent / "README.md"
    readme.write_text(refreshed(readme.read_text(encoding="utf-8"), found), encoding="utf-8")
    sys.stdout.write(f"{len(found)} examples recorded in {examples.FOLDER}\n")


if __name__ == "__main__":
    main()
