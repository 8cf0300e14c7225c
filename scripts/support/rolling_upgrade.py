"""Two servers are upgraded one after the other, while tablets report without rest and a page is read.

Each program is a worktree of its own. In between both run at once, and one of the older program is killed and has to
start on the newer one's database. Nothing acknowledged may be lost or stored twice, and nobody left without an answer.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests import factories, postgres
from tests.agents import eventually
from tests.front import Front
from tests.lesson_site import Browser
from tests.rolling import Load, faults
from tests.serving import ROOT, Server
from tests.small_school import CLASS, SCHOOL, write_delivery_list, write_roster

_VERSIONS = "fleet/migrations/versions"
_HERE = "."


def git(*arguments: str) -> str:
    """Run git in this clone and return what it wrote."""
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def program(ref: str, folder: Path) -> Iterator[Path]:
    """Give a folder with a version of the program."""
    if ref == _HERE:
        yield ROOT
        return
    git("worktree", "add", "--detach", "--quiet", str(folder), ref)
    try:
        yield folder
    finally:
        git("worktree", "remove", "--force", str(folder))


def are_a_pair(older: Path, newer: Path) -> bool:
    """Whether the newer program can upgrade a database of the older one: it has the same steps, and perhaps more."""
    steps = {path.name: path.read_bytes() for path in (newer / _VERSIONS).glob("*.py")}
    return all(steps.get(path.name) == path.read_bytes() for path in (older / _VERSIONS).glob("*.py"))


def revision(url: str) -> str:
    """Return at which step a database stands."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
    engine.dispose()
    return str(found)


def filled(server: Server, folder: Path, serials: list[str]) -> str:
    """Fill a server with a school and tablets that are expected; return a ticket's code."""
    write_roster(folder / "roster.zip")
    write_delivery_list(folder / "delivery.csv", serials)
    server.fleet("roster", "import", str(folder / "roster.zip"))
    server.fleet("devices", "import", str(folder / "delivery.csv"))
    place = ("--school", SCHOOL, "--class", CLASS, "--max", str(len(serials)))
    return str(json.loads(server.fleet("tickets", "create", *place, "--json"))["code"])


def administrator(server: Server, front: Front) -> Browser:
    """Make the first administrator, and sign in through the front."""
    (link,) = re.findall(r"/password/\S+", server.fleet("people", "first-admin"))
    browser, password = Browser(front), factories.GOOD_PASSWORD
    browser.post(link, page=link, username="it", name="IT", password=password, again=password)
    return browser.sign_in("it")


class Upgrade:
    """The two servers, what is in front of them, and the telling of how it goes."""

    def __init__(self, url: str, folder: Path, *, drain_s: int) -> None:
        self.url, self.front = url, Front()
        told = {"FLEET_PUBLIC_URL": self.front.address, "FLEET_DRAIN_S": str(drain_s)}
        self.one, self.other = (Server(url, folder / "data", told, log_name=f"{name}.log") for name in ("one", "other"))

    def start(self, server: Server, root: Path) -> None:
        """Start a server of a program, and wait until it gets its share."""
        server.root = root
        server.start()
        eventually(lambda: server in self.front.ready, why="a server that is ready")

    def tell(self, what: str, load: Load) -> None:
        """See that everybody gets answers, and say how it stands."""
        begun = time.monotonic()
        load.goes_on()
        print(
            f"{what:<58} schema {revision(self.url)}, {len(load.acknowledged)} reports acknowledged, asked again: "
            f"{load.failed['tablet']} tablets, {load.failed['page']} pages, all answered within "
            f"{time.monotonic() - begun:.1f} s", flush=True,
        )  # fmt: skip


def _kill(server: Server) -> None:
    if server.process is not None and server.process.poll() is None:
        server.stop(signal.SIGKILL)


def upgrade(older: Path, newer: Path, folder: Path, url: str, *, tablets: int, drain_s: int) -> list[str]:
    """Do it; returns what went wrong."""
    made = Upgrade(url, folder, drain_s=drain_s)
    serials = [f"ROLLING{number:03}" for number in range(tablets)]
    with ExitStack() as ending:
        made.front.start([made.one, made.other])
        ending.callback(made.front.stop)
        for server in (made.one, made.other):
            ending.callback(_kill, server)
            made.start(server, older)
        code = filled(made.one, folder, serials)
        load = Load(made.front.address, serials, code, staff=administrator(made.one, made.front), page="/account")
        with load.running():
            made.tell("two servers of the older program", load)
            made.one.stop(signal.SIGTERM)
            made.tell("one drained and stopped", load)
            made.start(made.one, newer)
            made.tell("one upgraded, both programs at once", load)
            made.other.stop(signal.SIGKILL)
            made.start(made.other, older)
            made.tell("the older one killed and started on the newer database", load)
            made.other.stop(signal.SIGTERM)
            made.start(made.other, newer)
            made.tell("both upgraded", load)
        return faults(url, load)


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="scripts/rolling-upgrade")
    parser.add_argument("older", metavar="FROM", help="a commit or tag; . is the clone as it stands")
    parser.add_argument("newer", metavar="TO")
    parser.add_argument("--tablets", type=int, default=20)
    parser.add_argument("--drain", type=int, default=3, help="FLEET_DRAIN_S")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as ending:
        folder = Path(name)
        older = ending.enter_context(program(told.older, folder / "older"))
        newer = ending.enter_context(program(told.newer, folder / "newer"))
        if not are_a_pair(older, newer):
            print(
                f"{told.newer} has other steps in {_VERSIONS} than {told.older}: until the first release the first "
                "step is made anew (decision 0005), so no database goes from one to the other",
                file=sys.stderr,
            )
            return 2
        server = ending.enter_context(postgres.running(durable=True))
        wrong = upgrade(
            older, newer, folder, server.url(server.create()), tablets=told.tablets, drain_s=told.drain
        )  # fmt: skip
    print("\n".join(wrong) if wrong else "nothing lost, nothing doubled, nobody left without an answer")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
