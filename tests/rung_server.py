"""The server, which rings iPads through a stand-in of the push service; takes the command line's own words.

Where the stand-in is, and whose certificates to trust there, is in the environment.
"""

import os
import runpy
from functools import partial
from unittest import mock

from fleet.channels.apple.push import Pusher
from fleet.channels.apple.ringer import Ringer

ADDRESS, AUTHORITY = "PUSH_ADDRESS", "PUSH_AUTHORITY"

if __name__ == "__main__":
    make = partial(Pusher, base_url=os.environ[ADDRESS], trusted_pem=os.environ[AUTHORITY])
    with mock.patch("fleet.app.server.Ringer", partial(Ringer, make=make)):
        runpy.run_module("fleet", run_name="__main__")
