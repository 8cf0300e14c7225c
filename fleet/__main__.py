"""``python -m fleet``: the command line."""

import os

from fleet import config
from fleet.app import create_app, serve
from fleet.cli import main
from fleet.cli.output import Program

if __name__ == "__main__":
    main(obj=Program(create_app, lambda: serve(config.load(os.environ))))
