"""``python -m fleet``: the command line."""

import os
import sys

from flask import Flask

from fleet import config
from fleet.cli import main
from fleet.cli.output import Program


def _create_app() -> Flask:
    from fleet.app import create_app, standing  # noqa: PLC0415 (half a second that a command's help need not wait for)

    makes_database = sys.argv[1:2] == ["database"]
    environ = os.environ if makes_database else standing.beside(os.environ)
    return create_app(environ=environ, with_pages=False)


def _serve() -> None:
    from fleet.app.server import serve  # noqa: PLC0415 (and what only the server needs)

    serve(config.load(os.environ))


if __name__ == "__main__":
    main(obj=Program(_create_app, _serve))
