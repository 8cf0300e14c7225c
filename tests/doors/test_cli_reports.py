"""``fleet reports``: lists, shows and writes reports, and mails them."""

from pathlib import Path

from tests import factories
from tests.doors.fleet_command import *  # noqa: F403
