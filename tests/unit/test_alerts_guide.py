"""The guide to alerts: its code for checking a signature and its worked example are what the server does."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.alerts import hook_messages
from fleet.alerts.hook_messages import BACK_OFF
from fleet.alerts.sending import GIVE_UP_AFTER
from fleet.alerts.topics import EARLIEST, LATEST

GUIDE = (Path(__file__).parents[2] / "fleet" / "docs" / "alerts.md").read_text(encoding="utf-8")
AT = 1796025600


def example() -> dict[str, str]:
    """Return the rows of the worked example."""
    section = GUIDE.partition("A worked example")[2]
    return dict(re.findall(r"^\| `?([\w-]+)`? \| `(.+)` \|$", section, re.MULTILINE))


def told_code() -> Callable[..., bool]:
    """Return the function that the guide tells."""
    (source,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    inside: dict[str, Any] = {}
    exec(compile(source, "alerts.md", "exec"), inside)  # noqa: S102 (our own guide, which must work)
    found: Callable[..., bool] = inside["is_genuine"]
    return found


def test_the_worked_example_is_what_the_server_signs() -> None:
    told = example()
    secret = base64.b64decode(told["secret"].removeprefix("whsec_"))
    signed = hook_messages.signature(secret, told["webhook-id"], int(told["webhook-timestamp"]), told["body"].encode())
    assert signed == told["webhook-signature"]


def test_the_guides_code_tells_ours_from_others() -> None:
    told, is_genuine = example(), told_code()
    headers = {name: value for name, value in told.items() if name.startswith("webhook-")}
    body = told["body"].encode()
    assert is_genuine(told["secret"], headers, body, now=AT + 10)
    assert not is_genuine(told["secret"], headers, body + b" ", now=AT + 10)
    assert not is_genuine(told["secret"], headers, body, now=AT + 301)
    assert not is_genuine("whsec_" + base64.b64encode(bytes(32)).decode(), headers, body, now=AT)
    assert is_genuine(
        told["secret"], {**headers, "webhook-signature": f"v1,x {told['webhook-signature']}"}, body, now=AT
    )


def test_the_guides_numbers_are_the_servers() -> None:
    assert [round(one.total_seconds()) for one in BACK_OFF] == [5, 300, 1800, 7200, 18_000, 36_000, 36_000]
    assert GIVE_UP_AFTER.days == 5
    assert f"from {EARLIEST:%H:%M} to {LATEST:%H:%M}" in GUIDE


def test_the_guides_message_has_what_a_message_has() -> None:
    (source,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    assert set(json.loads(source)["data"]) == {
        "id", "topic", "kind", "severity", "raised_at", "ended_at", "school_id", "school", "class", "tablet",
    }  # fmt: skip
