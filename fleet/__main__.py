"""``python -m fleet``: the command line."""

import os

from flask import Flask

from fleet import config
from fleet.cli import main
from fleet.cli.output import Program


def _create_app() -> Flask:
    from fleet.app import create_app  # noqa: PLC0415 (half a second that a command's help need not wait for)

    return create_app(with_pages=False)


def _serve() -> None:
    from fleet.app.server import serve  # noqa: PLC0415 (and what only the server needs)

    serve(config.load(os.environ))


if __name__ == "__main__":
    main(obj=Program(_create_app, _serve))
