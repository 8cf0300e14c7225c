"""What a ticket sheet's code leads to when an ordinary camera scans it, instead of a tablet that enrols.

The ticket's code stands behind the hash sign, which browsers do not send: the server never learns it here, and the page
has no script that could read it.
"""

from flask import current_app, render_template

from fleet.config import Config
from fleet.web.blueprint import public, web


@web.get("/enrol")
@public
def enrol() -> str:
    """Say what the code is for, what to do with it, and whom to ask."""
    config: Config = current_app.extensions["fleet_config"]
    return render_template("enrol.html", public_url=config.public_url)
