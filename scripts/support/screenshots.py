"""Pictures of the main pages, taken from a demo that lives: its own server, its tablets, a browser without a screen.

The demo starts on a free port in a temporary folder and is gone afterwards. Each picture is a row of :data:`SHOTS`.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from playwright.sync_api import Error as BrowserError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "fleet" / "web" / "docs"
DESK: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 360, "height": 740}
MOST_BYTES = 150_000
IT, SCHOOL_IT, TEACHER = "it", "it-kjenn", "laerer-kjenn-8b"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
_COME_IN = re.compile(r"(\d+) of (\d+) tablets have come in")
_START_S = 240.0  # until the demo's tablets have come in, on a slow machine
_SETTLE_S = 25.0  # until they have reported once more
Steps = Callable[[Page], None]


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Args:
        name: of the file, without its ending.
        who: the account that looks.
        path: the page's address.
        size: of the window.
        is_dark: whether the pages are dark.
        steps: what to do on the page before the picture; None for nothing.
    """

    name: str
    who: str
    path: str
    size: ViewportSize
    is_dark: bool = False
    steps: Steps | None = None


def follow(selector: str) -> Steps:
    """Return the step that follows the first link that ``selector`` names."""

    def steps(page: Page) -> None:
        page.locator(selector).first.click()
        page.wait_for_load_state()

    return steps


def start_lesson(page: Page) -> None:
    """Open the class, start the first set that is offered, and wait until tablets have it."""
    page.locator("main a[href^='/classes/'][href*='/lesson']").first.click()
    page.wait_for_load_state()
    page.locator("main form input[name=set_id]").first.check(force=True)
    page.locator("main form button.thumb-button").last.click()
    page.wait_for_url(re.compile(r"/lessons/\d+"))
    page.wait_for_timeout(12_000)


def open_class(page: Page) -> None:
    """Open the page where a lesson of one's class is started."""
    page.locator("main a[href^='/classes/'][href*='/lesson']").first.click()
    page.wait_for_load_state()


def down_to(selector: str) -> Steps:
    """Return the step that has what ``selector`` names stand at the top of the window."""

    def steps(page: Page) -> None:
        page.locator(selector).first.evaluate("one => scrollTo(0, one.offsetTop - 90)")

    return steps


def first_tablet(tab: str) -> Steps:
    """Return the steps to a tab of the first tablet's page."""

    def steps(page: Page) -> None:
        page.locator("main tbody a[href^='/tablets/']").first.click()
        page.wait_for_load_state()
        page.locator(f"main .tabs a[href*='/{tab}']").first.click()
        page.wait_for_load_state()

    return steps


def change_and_look(page: Page) -> None:
    """Change a profile in the editor, and look at what publishing it would do."""
    page.locator("#editor input[type=radio]:not(:checked)").first.check()
    page.locator("#editor button[value=publish]").first.click()
    page.wait_for_load_state()


SHOTS = (
    Shot("overview", IT, "/", DESK),
    Shot("overview-dark", IT, "/", DESK, is_dark=True),
    Shot("tablets", IT, "/tablets", DESK),
    Shot("tablet", IT, "/tablets", DESK, steps=follow("main tbody a[href^='/tablets/']")),
    Shot("why", IT, "/tablets", DESK, steps=first_tablet("why")),
    Shot("enrolment", IT, "/enrolment", DESK),
    Shot("ticket", IT, "/enrolment", DESK, steps=follow("main a[href^='/enrolment/']:not([href$='new'])")),
    Shot("profiles", IT, "/profiles", DESK),
    Shot("profile-edit", IT, "/profiles/ungdomsskole/edit", DESK),
    Shot("effect", IT, "/profiles/ungdomsskole/edit", DESK, steps=change_and_look),
    Shot("apps", IT, "/apps", DESK),
    Shot("assignments", IT, "/assignments?school=1", DESK),
    Shot("imports", IT, "/imports", DESK),
    Shot("people", IT, "/people", DESK),
    Shot("school-year", IT, "/settings/calendar", DESK),
    Shot("silence", IT, "/silence", DESK),
    Shot("report", IT, "/reports/findings?period=year", DESK, steps=down_to(".figures")),
    Shot("jobs", IT, "/jobs", DESK),
    Shot("audit", IT, "/audit", DESK),
    Shot("question-phone", TEACHER, "/", PHONE),
    Shot("start-phone", TEACHER, "/lessons", PHONE, steps=open_class),
    Shot("lesson-phone", TEACHER, "/lessons", PHONE, steps=start_lesson),
    Shot(
        "lesson-phone-dark",
        TEACHER,
        "/lessons",
        PHONE,
        is_dark=True,
        steps=follow("main a.thumb-button[href^='/lessons/']"),
    ),
)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    """Run the demo until all its tablets have come in and have reported; gives its address.

    Raises:
        SystemExit: it ended, or took too long.
    """
    bind = f"127.0.0.1:{free_port()}"
    environ = {**os.environ, "FLEET_DATA_DIR": str(folder), "FLEET_BIND": bind, "PYTHONPATH": str(ROOT)}
    environ.pop("FLEET_PUBLIC_URL", None)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "support" / "demo.py")], env=environ, stderr=subprocess.PIPE, text=True
    )
    lives = threading.Event()
    told: list[str] = []
    reader = threading.Thread(target=_read, args=(process, told, lives), daemon=True)
    reader.start()
    try:
        if not lives.wait(_START_S) or process.poll() is not None:
            raise SystemExit("\n".join(["screenshots: the demo did not come to life:", *told[-8:]]))
        time.sleep(_SETTLE_S)
        yield f"http://{bind}"
    finally:
        process.terminate()
        process.wait()
        reader.join()


def _read(process: "subprocess.Popen[str]", told: list[str], lives: threading.Event) -> None:
    """Follow what the demo says, so that it never waits for a reader, until it ends."""
    for line in process.stderr or ():
        told.append(line.rstrip())
        found = _COME_IN.search(line)
        if found is not None and found[1] == found[2]:
            lives.set()
    lives.set()


def sign_in(browser: Browser, address: str, shot: Shot, password: str) -> Page:
    """Return a page of a fresh browser, signed in."""
    context = browser.new_context(
        viewport=shot.size, locale="nb-NO", timezone_id="Europe/Oslo", reduced_motion="reduce",
        color_scheme="dark" if shot.is_dark else "light", device_scale_factor=2 if shot.size is PHONE else 1,
    )  # fmt: skip
    page = context.new_page()
    page.goto(f"{address}/sign-in")
    page.fill("#username", shot.who)
    page.fill("#password", password)
    page.click("form.form button")
    page.wait_for_selector("form[action='/sign-out']", state="attached")
    return page


def take(browser: Browser, address: str, shot: Shot, password: str, folder: Path) -> str | None:
    """Take a picture; returns what is wrong with it, None where nothing is. The others are taken all the same."""
    path = folder / f"{shot.name}.png"
    try:
        page = sign_in(browser, address, shot, password)
        answer = page.goto(address + shot.path)
        if answer is None or answer.status != 200:
            return f"{shot.name}: {shot.path} answers {answer.status if answer is not None else 'nothing'}"
        if shot.steps is not None:
            shot.steps(page)
        page.wait_for_timeout(500)
        page.screenshot(path=path)
        page.context.close()
    except BrowserError as error:
        return f"{shot.name}: {str(error).splitlines()[0]}"
    shrink(path)
    size = path.stat().st_size
    print(f"screenshots: {path.relative_to(ROOT)}, {size // 1000} kB", file=sys.stderr)
    return f"{shot.name}: {size} bytes, at most {MOST_BYTES}" if size > MOST_BYTES else None


def shrink(path: Path) -> None:
    """Keep a picture with as many colours as a page needs."""
    with Image.open(path) as whole:
        few = whole.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def main(names: list[str]) -> int:
    """Take the pictures of these names, or all; returns the exit code."""
    unknown = sorted(set(names) - {one.name for one in SHOTS})
    found = next((path for path in map(shutil.which, _NAMES) if path is not None), None)
    if unknown or found is None:
        why = f"no picture is called {', '.join(unknown)}" if unknown else f"no browser here (looked for {_NAMES})"
        print(f"screenshots: {why}", file=sys.stderr)
        return 2
    faults: list[str | None] = []
    with tempfile.TemporaryDirectory(prefix="fleet-screenshots-") as folder, demo(Path(folder)) as address:
        accounts: dict[str, str] = json.loads((Path(folder) / "demo.json").read_text())["accounts"]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, headless=True, args=_OPTIONS)
            faults += [
                take(browser, address, shot, accounts[shot.who], FOLDER)
                for shot in SHOTS
                if not names or shot.name in names
            ]
            browser.close()
    for fault in filter(None, faults):
        print(f"screenshots: {fault}", file=sys.stderr)
    return 1 if any(faults) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
