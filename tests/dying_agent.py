"""The agent, killed in the middle of a switch to a lesson: ``before`` anything of it is in force, or ``half`` way.

Takes the agent's own words, and after them one of the two.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from agent_protocol import agent, linux
from agent_protocol.messages import Failure
from agent_protocol.store import write_whole


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _write_or_die(path: Path, content: bytes) -> None:
    if path.name == "profile.json":  # the areas' files are written, and nothing says what they make
        _die()
    write_whole(path, content)


class _Dying(linux.LinuxTablet):
    how = ""

    def apply(self, digest: str, settings: Mapping[str, Any]) -> Sequence[Failure]:
        if "web.allowed" in settings:
            if self.how == "before":
                _die()
            mock.patch("agent_protocol.linux.write_whole", _write_or_die).start()
        return super().apply(digest, settings)


if __name__ == "__main__":
    _Dying.how = sys.argv.pop()
    with mock.patch("agent_protocol.agent.LinuxTablet", _Dying):
        sys.exit(agent.main())
