"""The Apple channel's door: paths, signatures, statuses. What happens behind is :mod:`fleet.channels.apple.work`.

Invariant: no answer has the status 401, whatever happens: a tablet that gets it removes its management. Who cannot be
believed gets 400 or, where the certificate is another tablet's or its enrolment has ended, 403 without a code.

Source: https://developer.apple.com/documentation/devicemanagement/sending-mdm-commands-to-a-device; RFC 8894.
"""

import base64
import binascii
import random
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import structlog
from msgspec.structs import replace

from fleet.allowance import Allowance
from fleet.channels.apple import messages, scep
from fleet.channels.apple.automated import Automated
from fleet.channels.apple.cms import CmsError
from fleet.channels.apple.message_keys import Kind, MessageError, is_owned_by_its_user
from fleet.channels.apple.plists import PlistError
from fleet.channels.apple.proxied import ProxiedCertificates
from fleet.channels.apple.status import StatusError
from fleet.channels.apple.work import PREFIX, Evidence, Told, Work
from fleet.channels.batching import Batcher, FullError, Queue, TooOftenError
from fleet.channels.desk import Desk, Outcome, WrongTooOftenError
from fleet.channels.http import Request, Response
from fleet.channels.presence import Presence
from fleet.channels.threads import Threads
from fleet.checkins.presence import Poll
from fleet.devices.enrolment import EnrolmentError
from fleet.errors import FleetError, ReasonError
from fleet.mdm.authority import CertificateError
from fleet.mdm.clients import IdentityError
from fleet.mdm.idling import Call

_log = structlog.get_logger("apple")
MAX_BODY_BYTES = 4 * 1024 * 1024  # lists of installed apps, with what comes along with them
_TOKEN, _DIGEST = re.compile(r"[A-Za-z0-9_-]{43}"), re.compile(r"[0-9a-f]{64}")
_PROFILE = "application/x-apple-aspen-config"
_RETRY_S = "60"
_BUSY_S = (30, 90)  # spread, so that not all come back at once
TOO_MANY = "too-many"  # why the page of codes is shown again, where it is no ticket's fault
_MAX_FORM_BYTES, _MAX_SCEP_BYTES, _SHORT_BYTES = 1024, 64 * 1024, 16 * 1024
# Of what a tablet tells beyond "here I am", for each: setting one up takes a hundred. Whoever holds its key shall take
# neither the threads from the others nor the disk.
SAID_AT_ONCE, _SAID_EVERY_S = 300, 2.0
_IDENTITIES_KEPT = 50_000
_AWAKE_FOR = timedelta(minutes=30)
_NEVER_KEPT = {"cache-control": "no-store"}


class AppleChannel:
    """Answers the clients that are built into iPads.

    Args:
        work: the units of work.
        presence: where it is noted who called.
        proxied: what proxies tell of certificates.
        automated: answers iPads that Apple has sent here.
        now: the clock.
        threads: how many of them at once.
        queue_limit: how many may wait.
    """

    name, prefix = "apple", PREFIX
    max_body_bytes = MAX_BODY_BYTES

    def __init__(
        self,
        work: Work,
        *,
        presence: Presence,
        proxied: ProxiedCertificates,
        automated: Automated,
        now: Callable[[], datetime],
        threads: int = 4,
        queue_limit: int,
    ) -> None:
        self._work = work
        self._presence = presence
        self._proxied = proxied
        self._automated = automated
        self._now = now
        self._dice = random.Random()  # noqa: S311 (spreads tablets in time, guards nothing)
        self._calls: Batcher[Call, int | None] = Batcher(work.quiet, limit=queue_limit, name="calls")
        self._desk = Desk(now)
        self._allowance = Allowance(SAID_AT_ONCE, _SAID_EVERY_S, kept=_IDENTITIES_KEPT)
        self._threads = Threads(threads, limit=queue_limit, name="apple")

    @property
    def is_full(self) -> bool:
        """Whether as many wait as may."""
        return self._threads.is_full or self._calls.is_full

    @property
    def queues(self) -> Sequence[Queue]:
        """Where requests wait."""
        return (self._calls, self._threads)

    def release(self) -> None:
        """Nobody is held here."""

    async def drain(self) -> None:
        """Answer everything that was taken in."""
        self._threads.close()
        await self._calls.drain()
        await self._desk.drain()
        await self._threads.drain()

    def too_large(self) -> Response:
        """Return the refusal of a body beyond the limit."""
        return Response(413)

    def busy(self) -> Response:
        """Return the refusal of one too many: tablets come again by themselves."""
        return Response(503, {"retry-after": str(self._dice.randint(*_BUSY_S))}, is_shed=True)

    def failed(self) -> Response:
        """Return the answer to a fault of ours: tablets come again by themselves."""
        return Response(500)

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        try:
            return await self._route(request)
        except (CmsError, CertificateError) as error:
            return _refused(400, error.reason)
        except (PlistError, MessageError, StatusError) as error:
            return _refused(400, str(error.data.get("reason", error.code)))
        except IdentityError as error:
            return _refused(403, str(error.data["reason"]))
        except FullError as error:
            return replace(self.busy(), is_shed=not isinstance(error, TooOftenError))
        except WrongTooOftenError:
            return Response(429, {"retry-after": _RETRY_S})

    async def _route(self, request: Request) -> Response:  # noqa: PLR0911 (a case for each path)
        match request.path.removeprefix(self.prefix).split("/"):
            case ["mdm"] if request.method in {"PUT", "POST"}:
                return await self._speak(request)
            case ["scep"]:
                return await self._scep(request)
            case ["invitations"] if request.method == "POST":
                return await self._invite(request)
            case ["apps", token, "manifest.plist" | "package.ipa" as name] if _TOKEN.fullmatch(token):
                return await self._app_file(request, token, name)
            case ["automated", secret] if request.method in {"GET", "POST"}:
                return await self._automate(request) if self._automated.knows(secret) else Response(404)
            case ["enrol", token] if request.method == "GET" and _TOKEN.fullmatch(token):
                return await self._enrol(request, token)
            case ["files", digest] if request.method == "GET" and _DIGEST.fullmatch(digest):
                body = await self._in_thread(self._work.enclosure, digest)
                return Response(404) if body is None else _profile(body)
        return Response(404)

    async def _app_file(self, request: Request, token: str, name: str) -> Response:
        """Answer who fetches a package of our own, or what says where it is."""
        if request.method not in {"GET", "HEAD"}:
            return Response(405, {"allow": "GET, HEAD"})
        found: Response = await self._in_thread(self._work.app_file, request, token, name)
        return found

    # -- enrolment -----------------------------------------------------------------------------------------------

    async def _invite(self, request: Request) -> Response:
        """Lead from a ticket's code to the profile. A redirect, so that what is loaded again asks for no second one."""
        if len(request.body) > _MAX_FORM_BYTES:
            return Response(413)
        code = parse_qs(request.body.decode("latin-1")).get("code", [""])[0]

        def invite() -> Outcome[str | EnrolmentError]:
            told = self._work.invite(code)
            return Outcome(told, is_wrong=isinstance(told, EnrolmentError))

        try:
            outcome = await self._desk.serve(request.client, invite)
        except WrongTooOftenError:
            return Response(303, {"location": f"/enrol?refused={TOO_MANY}", **_NEVER_KEPT})
        if isinstance(outcome, EnrolmentError):
            return Response(303, {"location": f"/enrol?refused={outcome.code}", **_NEVER_KEPT})
        return Response(303, {"location": f"{self.prefix}enrol/{outcome}", **_NEVER_KEPT})

    async def _enrol(self, request: Request, token: str) -> Response:
        def profile() -> Outcome[bytes | None]:
            body = self._work.profile(token)
            return Outcome(body, is_wrong=body is None)

        body = await self._desk.serve(request.client, profile)
        return Response(404) if body is None else _profile(body)

    async def _automate(self, request: Request) -> Response:
        """Answer an iPad that is set up. Of those whom nobody expects there may be a whole delivery: that is not wrong.

        Raises:
            CmsError, CertificateError, PlistError, MessageError: as for :meth:`Automated.answer`.
        """

        def answer() -> Outcome[Response | FleetError | ReasonError]:
            try:
                return Outcome(self._automated.answer(request), is_wrong=False)
            except (CmsError, CertificateError, PlistError, MessageError) as error:
                return Outcome(error, is_wrong=True)

        told = await self._desk.serve(request.client, answer)
        if not isinstance(told, Response):
            raise told
        return told

    async def _scep(self, request: Request) -> Response:
        """Answer a client of RFC 8894: it compares content types letter by letter."""
        told = parse_qs(request.query)
        match told.get("operation", [""])[0]:
            case "GetCACaps":
                return Response(200, {"content-type": "text/plain"}, scep.capabilities().encode())
            case "GetCACert":
                return Response(200, {"content-type": "application/x-x509-ca-cert"}, self._work.ca_certificate())
            case "PKIOperation":
                message = request.body if request.method == "POST" else _decoded(told.get("message", [""])[0])
                if len(message) > _MAX_SCEP_BYTES:
                    return Response(413)

                def answer() -> Outcome[bytes | None]:
                    told = self._work.scep(message)
                    return Outcome(told.body, is_wrong=not told.is_issued)

                body = await self._desk.serve(request.client, answer)
                if body is not None:
                    return Response(200, {"content-type": "application/x-pki-message"}, body)
        return Response(400)

    # -- the client ----------------------------------------------------------------------------------------------

    async def _speak(self, request: Request) -> Response:
        self._calls.require_room()
        signature = request.headers.get("mdm-signature")
        evidence = Evidence(None if signature is None else _decoded(signature), self._proxied.of(request))
        if messages.is_check_in(request.headers.get("content-type")):
            told = await self._in_thread(self._check_in, evidence, request.body)
            kind = "application/json" if told.is_json else "application/xml"
            return Response(told.status, {"content-type": kind}, told.body)
        # Most calls say nothing and get nothing: they are believed here and looked up together, without a thread each.
        # Nobody's message is read before he is believed, nor a long one where all others would wait for it.
        thumbprint = self._work.believe(evidence, request.body)
        is_short = len(request.body) <= _SHORT_BYTES
        if not is_short:
            self._measure(thumbprint)
        message = (
            messages.read_result(request.body)
            if is_short
            else await self._in_thread(messages.read_result, request.body)
        )
        device_id, body = await self._quiet(message, thumbprint), b""
        if device_id is None:
            if is_short:
                self._measure(thumbprint)
            device_id, body = await self._in_thread(self._work.result, message, thumbprint)
        if device_id is not None:
            # It is rung, so it hears of a change at once, as long as somebody has it in use.
            now = self._now()
            self._presence.note(Poll(device_id, now, now + _AWAKE_FOR, waits=True, address=request.client))
        return Response(200, {"content-type": "application/xml"}, body)

    def _check_in(self, evidence: Evidence, body: bytes) -> Told:
        thumbprint = self._work.believe(evidence, body)
        self._measure(thumbprint)
        message = messages.read_check_in(body)
        if isinstance(message, messages.Authenticate) and is_owned_by_its_user(message.enrolment):
            return Told(403)
        return self._work.check_in(message, thumbprint)

    def _measure(self, thumbprint: str) -> None:
        """Put off a tablet that tells more than any sound one does."""
        if not self._allowance.take(thumbprint, self._now()):
            raise TooOftenError

    async def _quiet(self, message: messages.Result, thumbprint: str) -> int | None:
        """Return whose call it is, where there is nothing to do for it."""
        if not isinstance(message, messages.Idle) or message.enrolment.kind is not Kind.DEVICE:
            return None
        return await self._calls.submit(Call(message.enrolment.text, thumbprint))

    async def _in_thread(self, function: Callable[..., Any], *given: object) -> Any:
        """Run a unit of work in a thread; where calls are turned away, so is this."""
        self._calls.require_room()
        return await self._threads.run(function, *given)


def _profile(body: bytes) -> Response:
    return Response(200, {"content-type": _PROFILE, **_NEVER_KEPT}, body)


def _refused(status: int, reason: str) -> Response:
    _log.info("not believed", status=status, reason=reason)
    return Response(status)


def _decoded(told: str) -> bytes:
    """Return what base64 says, empty where it is none; in an address + may have become a space."""
    try:
        return base64.b64decode(unquote(told).replace(" ", "+"), validate=True)
    except (binascii.Error, ValueError):
        return b""
