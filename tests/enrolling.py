"""Tablets that ask to be taken in, as a channel hands them to the domain."""

import secrets

from fleet.devices.enrolment import EnrolmentRequest
from fleet.devices.models import Platform


def request(
    code: str, serial: str = "AB12", *, key: str | None = None, model: str = "Prøvebrett 1"
) -> EnrolmentRequest:
    """Return a request with a key of its own, or the key named."""
    return EnrolmentRequest(
        code=code,
        serial=serial,
        platform=Platform.LINUX,
        model=model,
        channel="native",
        key_thumbprint=key or secrets.token_urlsafe(32),
        public_key=b"der",
    )
