"""A conversation with a tablet's client: what each message leads to, and what it is handed next. In a transaction.

Invariants: a refusal never has the status 401, which would make a tablet leave; what a tablet shall have is worked out
only when its configuration has another version than when that was last done; an answer is taken once.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from fleet import orders
from fleet.assignments import bodies
from fleet.channels.apple import aims, declarations, plists, requests
from fleet.channels.apple.commands import install_profile
from fleet.channels.apple.declarations import DeclarationSet
from fleet.channels.apple.inventory import Known
from fleet.channels.apple.message_keys import Kind as SpeakerKind
from fleet.channels.apple.message_keys import MessageError
from fleet.channels.apple.messages import (
    Acknowledged,
    Authenticate,
    CheckIn,
    CheckOut,
    CommandFormatError,
    DeclarativeManagement,
    Failed,
    GetToken,
    Idle,
    NotNow,
    Result,
    TokenUpdate,
    UserAuthenticate,
)
from fleet.channels.apple.plists import PlistError
from fleet.channels.apple.requests import NoUnlockTokenError
from fleet.channels.apple.status import Outcome, outcome, read_status
from fleet.checkins import receive as checkins
from fleet.crypto import UnsealError, seal
from fleet.devices.enrolment import Refused
from fleet.errors import NotFoundError
from fleet.mdm import clients, commands, declaring, inviting
from fleet.mdm.clients import Address, Arrival
from fleet.mdm.commands import Wanted
from fleet.mdm.models import Client, Command
from fleet.orders import OrderClosedError, OrderState
from fleet.schools import queries as schools
from profiles.digest import digest_of

CHANNEL = "apple"
ASK_EVERY, INVENTORY_EVERY = timedelta(hours=4), timedelta(hours=20)  # the latter: once a day, whenever that begins
RENEWAL_AGAIN = timedelta(days=7)
_NAMELESS = "Skolens nettbrett"  # until somebody has written what the municipality is called
Answer = tuple[int, bytes, bool]
_NOTHING: Answer = (200, b"", False)
_GONE: Answer = (410, b"", False)
_MISSING: Answer = (404, b"", True)


class Conversation:
    """Talks with clients.

    Args:
        identifier: what the names of our profiles begin with, in reverse-DNS form.
        url_of: gives the address of a file that declarations name, by its digest.
        profile_of: gives the enrolment profile for an invitation's token and a topic.
        vault_key: seals what is secret in the database.
    """

    def __init__(
        self,
        identifier: str,
        *,
        url_of: Callable[[str], str],
        profile_of: Callable[[str, str], bytes],
        vault_key: bytes,
    ) -> None:
        self._identifier = identifier
        self._lesson = f"{identifier}.lesson"
        self._url_of = url_of
        self._profile_of = profile_of
        self._vault_key = vault_key

    # -- check-ins -----------------------------------------------------------------------------------------------

    def check_in(self, message: CheckIn, thumbprint: str, *, now: datetime) -> Answer:
        """Take a check-in; returns status, body, and whether that is JSON.

        Raises:
            IdentityError: the certificate is another tablet's, or its enrolment has ended.
            MessageError: it says too little.
            StatusError: it is no status report.
        """
        if message.enrolment.kind is not SpeakerKind.DEVICE:
            # Of users on a shared iPad nothing is kept. A network user's sign-in is declined for good.
            return _GONE if isinstance(message, UserAuthenticate) else _NOTHING
        if isinstance(message, Authenticate):
            return self._authenticate(message, thumbprint, now)
        client = clients.speaker(thumbprint, message.enrolment.text, leaves=isinstance(message, CheckOut), now=now)
        match message:
            case TokenUpdate():
                self._reach(client, message, now)
            case CheckOut():
                clients.leave(client, now=now)
            case DeclarativeManagement():
                return self._declare(client, message, now)
            case GetToken():
                return (400, b"", False)
        return _NOTHING

    def _authenticate(self, message: Authenticate, thumbprint: str, now: datetime) -> Answer:
        if message.serial_number is None:
            raise MessageError(key="SerialNumber", reason="missing")
        arrival = Arrival(
            name=message.enrolment.text, serial=message.serial_number, model=message.product_name or "",
            channel=CHANNEL, topic=message.topic,
        )  # fmt: skip
        outcome_of_it = clients.arrive(thumbprint, arrival, now=now)
        # Without a code that tells the tablet to leave: it is not in yet, and says that its profile is not installed.
        return (403, b"", False) if isinstance(outcome_of_it, Refused) else _NOTHING

    def _reach(self, client: Client, message: TokenUpdate, now: datetime) -> None:
        sealed = None
        if message.unlock_token is not None:
            sealed = seal(self._vault_key, message.unlock_token, purpose=requests.purpose(client.device_id))
        address = Address(message.topic, message.token, message.magic, sealed, message.awaiting_configuration)
        is_first = clients.reach(client, address, now=now)
        if is_first:
            for kind in (requests.INFORMATION, *requests.INVENTORY):
                commands.queue(client.device_id, Wanted(kind), now=now)
            client.ask_at, client.inventory_at = now + ASK_EVERY, now
            self._follow(client, now)
        if message.awaiting_configuration:
            commands.queue(client.device_id, Wanted(requests.CONFIGURED, priority=commands.CALM), now=now)

    # -- declarations --------------------------------------------------------------------------------------------

    def _declare(self, client: Client, message: DeclarativeManagement, now: datetime) -> Answer:
        token = client.declared_token
        if message.endpoint == "status":
            self._take_status(client, message.data or b"", now)
            return _NOTHING
        if message.endpoint == "tokens":
            self._follow(client, now)
            if client.declared_token is None or client.declared_at is None:
                return _MISSING
            return (200, declarations.sync_tokens(client.declared_token, client.declared_at), True)
        found = declaring.document(token, message.endpoint) if token is not None else None
        return (200, found.encode(), True) if found is not None else _MISSING

    def _take_status(self, client: Client, data: bytes, now: datetime) -> None:
        known = Known.read(client.told)
        before = known.status.capabilities
        known = known.with_status(read_status(data))
        client.told = known.written()
        if known.status.capabilities != before:
            client.followed_version = None  # it can do more, or less, than what it was told takes for granted
        self._follow(client, now)
        self._report(client, known, now)

    def _set(self, client: Client, profile: str, settings: Mapping[str, Any]) -> DeclarationSet:
        return declarations.declarations(
            settings, identifier=f"{self._identifier}.profile", organisation=organisation(), profile=profile,
            url_of=self._url_of, capabilities=Known.read(client.told).status.capabilities,
        )  # fmt: skip

    def _follow(self, client: Client, now: datetime) -> None:
        """Work out anew what a client shall have, if that may have changed, and queue what leads there."""
        desired = declaring.desired(client.device_id, now=now)
        profile = desired.entries[0]["profile"] if desired.entries else None
        if (client.followed_version, client.followed_profile) == (desired.config_version, profile):
            return
        client.followed_version, client.followed_profile = desired.config_version, profile
        if desired.entries:
            self._aim(client, desired.entries, now)
        for order in orders.pending([client.device_id], now=now).get(client.device_id, []):
            kind = requests.OF_ORDER.get(order.kind)
            if kind is not None and not commands.carries(order.uid):
                wanted = Wanted(kind, order.payload, priority=commands.URGENT, order_uid=order.uid)
                commands.queue(client.device_id, wanted, now=now)

    def _aim(self, client: Client, entries: Sequence[Mapping[str, Any]], now: datetime) -> None:
        found = aims.aim(entries, settings_of, identifier=self._lesson, title=organisation())
        of = self._set(client, found.profile, found.declared)
        files = dict(of.profiles)
        wanted = digest_of(found.lesson) if found.lesson is not None else None
        if wanted is not None and found.lesson is not None:
            files[wanted] = found.lesson
        told = declaring.Set(of.token, found.profile, found.declared, declarations.documents(of))
        declaring.keep(told, files, now=now)
        # On before, off after: no moment in between is looser than both.
        if wanted is not None and wanted != client.lesson_file:
            commands.drop(client.device_id, requests.REMOVE, now=now)
            commands.queue(client.device_id, Wanted(requests.INSTALL, {"file": wanted}, replaces=True), now=now)
        if declaring.tell(client, of.token, now=now):
            commands.queue(client.device_id, Wanted(requests.DECLARE, replaces=True), now=now)
        if wanted is None and client.lesson_ends_at is not None:
            commands.drop(client.device_id, requests.INSTALL, now=now)
            if client.lesson_ends_at > now:
                removal = Wanted(requests.REMOVE, {"name": self._lesson}, replaces=True)
                commands.queue(client.device_id, removal, now=now)
            else:  # it went by itself, and nobody says so
                client.told = Known.read(client.told).without_lesson().written()
        client.lesson_file, client.lesson_ends_at = wanted, found.ends_at

    def _outcome(self, client: Client, known: Known) -> tuple[str | None, Outcome]:
        """Return which profile the client has in force, None where none that we know, and what it refused of it."""
        behind = declaring.behind(client.declared_token) if client.declared_token is not None else None
        if behind is None:
            return None, Outcome(is_applied=False)
        profile, declared = behind
        of = self._set(client, profile, declared)
        found = outcome(of, known.status)
        is_whole = found.is_applied and of.token == client.declared_token and known.lesson == client.lesson_file
        return (profile if is_whole else known.applied), found

    def _report(self, client: Client, known: Known, now: datetime) -> None:
        applied, found = self._outcome(client, known)
        known = known.with_applied(applied)
        client.told = known.written()
        sequence = clients.next_sequence(client)
        checkins.receive([known.report(client, failures=found.failures, sequence=sequence)], now=now)

    # -- commands ------------------------------------------------------------------------------------------------

    def result(self, message: Result, thumbprint: str, *, now: datetime) -> tuple[int | None, bytes]:
        """Take a result; return which tablet's it is, and the next command, empty where there is none.

        Raises:
            IdentityError: the certificate is another tablet's, or its enrolment has ended.
        """
        if message.enrolment.kind is not SpeakerKind.DEVICE:
            return None, b""
        client = clients.speaker(thumbprint, message.enrolment.text, now=now)
        self._follow(client, now)
        if isinstance(message, Idle):
            commands.begin_call(client.device_id)
            self._keep_time(client, now)
        else:
            self._take(client, message, now)
        commands.note_call(client, requests.word_of(message), now=now)
        while (following := commands.take_next(client.device_id, now=now)) is not None:
            try:
                body = self._build(following, client, now)
            except (NoUnlockTokenError, UnsealError, KeyError, PlistError) as error:  # the queue goes on
                commands.answer(client.device_id, following.uid, "error", detail=type(error).__name__, now=now)
                if following.order_uid is not None:
                    _finish(following, is_done=False, now=now)
                continue
            if following.order_uid is not None:
                commands.note_sent(following, now=now)
            return client.device_id, plists.write({"CommandUUID": following.uid, "Command": body})
        return client.device_id, b""

    def _build(self, command: Command, client: Client, now: datetime) -> dict[str, Any]:
        if command.kind == requests.RENEW:
            token = inviting.renew(client.device, now=now)
            return install_profile(self._profile_of(token, client.topic or ""))
        return requests.build(command, client, self._vault_key)

    def _keep_time(self, client: Client, now: datetime) -> None:
        """Queue what is due by the clock: how the tablet is, all that it has, a new certificate."""
        due: list[str] = []
        if client.ask_at is None or client.ask_at <= now:
            due.append(requests.INFORMATION)
            client.ask_at = now + ASK_EVERY
            if client.inventory_at is None or client.inventory_at <= now - INVENTORY_EVERY:
                due += requests.INVENTORY
                client.inventory_at = now
        if client.renew_at is not None and client.renew_at <= now:
            due.append(requests.RENEW)
            client.renew_at = now + RENEWAL_AGAIN
        for kind in due:
            commands.queue(client.device_id, Wanted(kind, priority=commands.CALM, replaces=True), now=now)

    def _take(self, client: Client, message: Result, now: datetime) -> None:
        uid = getattr(message, "command_uuid", None)
        if uid is None:
            return
        detail = None
        if isinstance(message, Failed | CommandFormatError):
            detail = " ".join(f"{link.domain}:{link.code}" for link in message.chain)
        done = commands.answer(client.device_id, uid, requests.word_of(message), detail=detail, now=now)
        if done is None or isinstance(message, NotNow):
            return
        # Nobody can take away what is not there: it has gone by its own clock.
        is_gone = isinstance(message, Failed) and done.kind == requests.REMOVE
        is_old = done.kind == requests.INSTALL and (done.content or {}).get("file") != client.lesson_file
        if (isinstance(message, Acknowledged) or is_gone) and not is_old:
            answer = message.answer if isinstance(message, Acknowledged) else {}
            known = Known.read(client.told).with_answer(done, answer)
            if known is not None:
                self._report(client, known, now)
        if done.order_uid is not None:
            _finish(done, is_done=isinstance(message, Acknowledged), now=now)


def organisation() -> str:
    """Return whose the tablets are, as iPads show it."""
    owner = schools.municipality()
    return owner.name if owner is not None else _NAMELESS


def settings_of(profile: str) -> dict[str, Any]:
    """Return the settings of an effective profile by its digest."""
    return dict(msgspec.json.decode(bodies.load([profile])[profile]))


def _finish(done: Command, *, is_done: bool, now: datetime) -> None:
    state = OrderState.DONE if is_done else OrderState.FAILED
    try:
        orders.finish(done.order_uid or "", device_id=done.device_id, state=state, detail=done.detail or "", now=now)
    except (OrderClosedError, NotFoundError):
        return  # its time was over before the tablet's word came, perhaps for long
