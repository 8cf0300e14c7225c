"""The ``fleet`` command as tests call it: in this process, never with a traceback."""

from pathlib import Path

from click.testing import CliRunner, Result
from flask import Flask

from fleet.cli import main
from fleet.cli.output import Program


def run(app: Flask, *words: str | Path | int) -> Result:
    """Run a command; whatever it refuses has to end in an exit code."""
    result = CliRunner().invoke(main, [str(word) for word in words], obj=Program(lambda: app, lambda: None))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result
