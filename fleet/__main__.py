"""``python -m fleet``: the command line."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

# What is imported late takes long enough for a person to change their mind meanwhile, or need not be waited for.
# ruff: noqa: PLC0415


def _create_app() -> "Flask":
    from fleet.app import create_app, standing

    makes_database = sys.argv[1:2] == ["database"]
    environ = os.environ if makes_database else standing.beside(os.environ)
    return create_app(environ=environ, with_pages=False)


def _create_cell(environ: "Mapping[str, str]") -> "Flask":
    from fleet.app import create_app

    return create_app(environ=environ, with_pages=False)


def _serve() -> None:
    from fleet import config
    from fleet.app.server import serve

    serve(config.load(os.environ))


def _run() -> None:
    from fleet.cli import main
    from fleet.cli.output import Program
    from fleet.cli.wording import COMMAND

    main(obj=Program(_create_app, _serve, _create_cell), prog_name=COMMAND)


if __name__ == "__main__":
    try:
        _run()
    except KeyboardInterrupt:  # before the command line itself is there to say so
        sys.stderr.write("Aborted!\n")
        sys.exit(130)
