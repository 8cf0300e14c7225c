"""The servers of a municipality, as this machine's keeper of services has them (systemd where nothing else is told)."""

import http.client
import shlex
import subprocess
import time

from fleet.errors import FleetError
from fleet.municipalities.registry import Cell

USUAL = "systemctl"
_WITHIN_S = 180  # what systemd gives a server to end, and more
_ANSWERS_WITHIN_S = 5.0


class ServiceError(FleetError):
    """The servers could not be started or stopped. Data: ``name``, ``action``, ``reason``."""

    code = "municipality-service"


class NotReadyError(FleetError):
    """The servers were started and did not become fit for work. Data: ``name``, ``bind``."""

    code = "municipality-not-ready"


def unit(name: str) -> str:
    """Return what the service of a municipality is called."""
    return f"fleet@{name}.service"


class Service:
    """Starts and stops servers.

    Args:
        command: the program that does; it is given ``start``, ``stop`` or ``restart`` and the unit's name.
        patience_s: how long a started server may take until it is fit for work.
    """

    def __init__(self, command: str, *, patience_s: float) -> None:
        self._command = shlex.split(command)
        self.patience_s = patience_s

    def tell(self, action: str, cell: Cell) -> None:
        """Start, stop or restart the servers of a municipality.

        Raises:
            ServiceError: it could not be done.
        """
        told = [*self._command, action, unit(cell.name)]
        try:
            subprocess.run(told, check=True, capture_output=True, text=True, timeout=_WITHIN_S)  # noqa: S603 (the operator's own command, no shell)
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().partition("\n")[0] or f"exit code {error.returncode}"
            raise ServiceError(name=cell.name, action=action, reason=reason) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServiceError(name=cell.name, action=action, reason=str(error)) from None

    def require_ready(self, cell: Cell) -> None:
        """Wait until the servers are fit for work.

        Raises:
            NotReadyError: they were not in time.
        """
        deadline = time.monotonic() + self.patience_s
        while not is_ready(cell):
            if time.monotonic() > deadline:
                raise NotReadyError(name=cell.name, bind=cell.config.bind)
            time.sleep(0.2)


def is_ready(cell: Cell) -> bool:
    """Whether the servers say that they are fit for work."""
    host = cell.settings.get("FLEET_BIND", "").rpartition(":")[0].strip("[]")
    connection = http.client.HTTPConnection(host or "localhost", cell.port, timeout=_ANSWERS_WITHIN_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
