"""Whether the public address leads to a server like this one, and how long its certificate lasts.

Asked from the server itself, which some networks keep from its own public address: that alone is no fault.
"""

import http.client
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from fleet.app.health import ALIVE
from fleet.checkup.checks import Check, ending, fault, ok, warning

_TIMEOUT_S = 10.0
_NEAR = timedelta(days=14)  # those that renew themselves have done so by then
_NAME = "public-url-reached"


def public_url(url: str, *, trusted: Path | None, now: datetime) -> Iterator[Check]:
    """Return what answers at the public address, and how long the certificate there lasts.

    Args:
        url: the address.
        trusted: the CA that tablets are told to trust, PEM; None: those this machine trusts.
        now: the instant.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if trusted is not None:
            context.load_verify_locations(cafile=trusted)
        talk: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=_TIMEOUT_S, context=context
        )
    else:
        talk = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_S)
    try:
        talk.connect()
        if isinstance(talk.sock, ssl.SSLSocket):
            yield _certificate(talk.sock, now)
        talk.request("GET", "/healthz")
        answer = talk.getresponse()
        yield _judge(url, answer.status, answer.read(len(ALIVE) + 1))
    except ssl.SSLCertVerificationError as error:
        yield fault(
            "tls-certificate", f"not trusted: {error.verify_message}", "renew it, and have the proxy send its chain"
        )
    except (OSError, http.client.HTTPException) as error:
        told = f"{url} does not answer this machine ({type(error).__name__})"
        yield warning(
            _NAME, told, "see that the proxy runs; it is well if tablets reach it and only this machine does not"
        )
    finally:
        talk.close()


def _judge(url: str, status: int, body: bytes) -> Check:
    if (status, body) == (200, ALIVE):
        return ok(_NAME, f"{url} leads to a server of tablets")
    return fault(
        _NAME,
        f"{url}/healthz answers {status}, and not as ours does",
        "have the proxy hand every path on to FLEET_BIND",
    )


def _certificate(connection: ssl.SSLSocket, now: datetime) -> Check:
    told = connection.getpeercert() or {}
    ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told["notAfter"])), UTC)
    return ending("tls-certificate", ends_at, now=now, near=_NEAR, advice="renew it, and see why it was not by itself")
