"""The specification's blocks of recorded text: each stands under a comment that names its example and part."""

import base64
import json
import re
from collections.abc import Sequence

from tests.golden.examples import Example

_BLOCK = re.compile(r"<!-- example (?P<name>[a-z0-9-]+) (?P<part>[a-z-]+) -->\n```(?:json|http)\n.*?```", re.DOTALL)


def _json(text: bytes) -> str:
    return f"```json\n{json.dumps(json.loads(text), ensure_ascii=False, indent=2)}\n```"


def _head(example: Example) -> str:
    lines = [f"{example.request.method} {example.request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in example.request.headers.items()]
    return "```http\n" + "\n".join(lines) + "\n```"


def _part(example: Example, part: str) -> str:
    answer = json.loads(example.body) if example.body else {}
    if part == "head":
        return _head(example)
    if part == "request":
        return _json(example.request.body or b"")
    if part == "payload":
        return _json(base64.b64decode(answer["payload"]))
    if part == "root-payload":
        return _json(base64.b64decode(answer["root"]["payload"]))
    assert part == "answer", part
    return _json(example.body)


def refreshed(text: str, examples: Sequence[Example]) -> str:
    """Return the specification with every block as its example has it."""
    by_name = {example.name: example for example in examples}

    def block(match: re.Match[str]) -> str:
        comment = match[0].partition("\n")[0]
        return f"{comment}\n{_part(by_name[match['name']], match['part'])}"

    return _BLOCK.sub(block, text)
