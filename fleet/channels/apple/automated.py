"""The door of iPads that Apple has sent here: set up for the first time, or again after they were wiped.

Invariants: who asks signs, and where it is configured is known to be of Apple's making; it is on a delivery list and
belongs to a school; what it gets is for its serial alone and good for minutes. Who does not know the secret address
learns nothing, not even that there is one. One that has to be updated first is told so and is not taken in before.

Source: https://developer.apple.com/documentation/devicemanagement/implementing-device-management;
other/machineinfo.yaml, mdm/errors/softwareupdaterequired.yaml of Apple's device-management schema.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from flask import Flask

from fleet.channels.apple import cms, plists
from fleet.channels.apple.conversation import CHANNEL
from fleet.channels.apple.device_roots import DeviceRoots
from fleet.channels.apple.following import settings_of
from fleet.channels.apple.message_keys import Keys
from fleet.channels.http import Request, Response
from fleet.compliance import versions
from fleet.db import transaction
from fleet.devices import enrolment
from fleet.devices.enrolment import Refused
from fleet.devices.models import Device
from fleet.mdm import declaring, inviting

_log = structlog.get_logger("apple")
_PROFILE = "application/x-apple-aspen-config"
_OLD_HEADER = "x-apple-aspen-deviceinfo"
_MAX_BYTES = 64 * 1024
_RETRY_S = "600"
_NEVER_KEPT = {"cache-control": "no-store"}
_MINIMA = ("os.minimum_version", "os.minimum_ipados")
_TURNED_AWAY = (
    "This iPad is not expected here. Ask those who look after the school's iPads to add it to a delivery list.\n"
)
# Shown on the iPad by its language; Norwegian where it has another.
_UPDATE = {
    "nn": "iPaden må oppdaterast til iPadOS {} før han kan takast i bruk.",
    "en": "This iPad has to be updated to iPadOS {} before it can be used.",
}
_UPDATE_NB = "iPaden må oppdateres til iPadOS {} før den kan tas i bruk."


@dataclass(frozen=True, slots=True)
class Machine:
    """What an iPad says of itself.

    Args:
        serial: its serial number.
        os_version: of its system; None before iPadOS 17.
        can_update: whether it can be told to update first.
        language: as it was chosen a moment ago.
    """

    serial: str
    os_version: str | None
    can_update: bool
    language: str | None


def read_machine(body: bytes) -> Machine:
    """Return what a MachineInfo says.

    Raises:
        PlistError: it is no property list.
        MessageError: its serial number is missing, or a key has another type.
    """
    keys = Keys(plists.read(body, max_bytes=_MAX_BYTES))
    return Machine(
        keys.text("SERIAL"),
        keys.maybe_text("OS_VERSION"),
        keys.flag("MDM_CAN_REQUEST_SOFTWARE_UPDATE"),
        keys.maybe_text("LANGUAGE"),
    )


class Automated:
    """Answers iPads that are set up.

    Args:
        app: the application.
        secret: the secret part of the address.
        roots: what iPads' certificates must lead to; None: any signature will do, and only the
            address keeps others out.
        profile: gives the enrolment profile with an invitation's token in it, None where no iPad can be taken in; in a
            unit of work.
        now: the clock.
    """

    def __init__(
        self,
        app: Flask,
        *,
        secret: str,
        roots: DeviceRoots | None,
        profile: Callable[[str], bytes | None],
        now: Callable[[], datetime],
    ) -> None:
        self._app, self._secret, self._roots, self._profile, self._now = app, secret, roots, profile, now

    def knows(self, secret: str) -> bool:
        """Whether somebody has come to the right address."""
        return hmac.compare_digest(secret.encode("utf-8", "surrogatepass"), self._secret.encode())

    def answer(self, request: Request) -> Response:
        """Answer an iPad that has come to the right address.

        Raises:
            CmsError: what it sent is not signed.
            CertificateError: who signed is not known to be an iPad.
            PlistError, MessageError: what is signed is no word of an iPad.
        """
        signed = cms.open_signed(_message(request))
        if self._roots is not None:
            self._roots.vouch(signed)
        machine, now = read_machine(signed.content), self._now()
        with self._app.app_context(), transaction():
            device = enrolment.may_come(machine.serial, channel=CHANNEL, now=now)
            if isinstance(device, Refused):
                _log.info("turned away", code=device.error.code)
                return Response(403, {"content-type": "text/plain; charset=utf-8"}, _TURNED_AWAY.encode())
            required = _required(device, machine, now)
            if required is not None:
                return _update_first(required, machine.language)
            profile = self._profile(inviting.expect(device, now=now))
        if profile is None:  # no push certificate: it can be taken in later
            return Response(503, {"retry-after": _RETRY_S})
        return Response(200, {"content-type": _PROFILE, **_NEVER_KEPT}, profile)


def _message(request: Request) -> bytes:
    """Return what an iPad sends: a body or, before iOS 13, a header."""
    told = request.headers.get(_OLD_HEADER)
    if request.method == "POST" and request.body:
        return request.body
    try:
        return base64.b64decode(told or "", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _required(device: Device, machine: Machine, now: datetime) -> str | None:
    """Return the system that an iPad has to be updated to first, where it can be told to."""
    if not machine.can_update or machine.os_version is None:
        return None
    entries = declaring.desired(device.id, now=now).entries
    settings = settings_of(entries[0]["profile"]) if entries else {}
    required: str | None = None
    for one in (settings.get(key) for key in _MINIMA):
        if (
            one
            and versions.is_older(machine.os_version, one)
            and (required is None or versions.is_older(required, one))
        ):
            required = one
    return required


def _update_first(version: str, language: str | None) -> Response:
    """Tell an iPad to update, and to come again then."""
    whole = version if "." in version else f"{version}.0"  # as Apple names its systems
    words = _UPDATE.get((language or "").partition("-")[0].lower(), _UPDATE_NB)
    told = {
        "code": "com.apple.softwareupdate.required",
        "description": f"iPadOS {whole} is required",
        "message": words.format(whole),
        "details": {"OSVersion": whole},
    }
    return Response(403, {"content-type": "application/json", **_NEVER_KEPT}, json.dumps(told).encode())
