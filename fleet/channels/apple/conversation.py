"""A conversation with a tablet's client: what each message leads to, and what it is handed next. In a transaction.

Invariants: a refusal never has the status 401, which would make a tablet leave; what a tablet shall have is worked out
only when its configuration has another version than when that was last done; an answer is taken once.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from fleet import orders
from fleet.channels import reporting
from fleet.channels.apple import declarations, plists, requests
from fleet.channels.apple.answers import Location, read_location
from fleet.channels.apple.commands import ReturnToService, erase, install_profile
from fleet.channels.apple.following import Following
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
from fleet.channels.apple.status import read_status
from fleet.checkins import polls
from fleet.crypto import UnsealError, seal
from fleet.devices.enrolment import Refused
from fleet.errors import NotFoundError
from fleet.mdm import clients, commands, declaring, inviting
from fleet.mdm.clients import Address, Arrival
from fleet.mdm.commands import Wanted
from fleet.mdm.models import Client, Command
from fleet.orders import OrderClosedError, OrderState

CHANNEL = "apple"
ASK_EVERY, INVENTORY_EVERY = timedelta(hours=4), timedelta(hours=20)  # the latter: once a day, whenever that begins
RENEWAL_AGAIN = timedelta(days=7)
# After a refusal it is asked how it is, and what it has not is tried again. A lesson cannot wait for long.
_AGAIN = (timedelta(minutes=5), timedelta(minutes=30), ASK_EVERY)
_APP_AFTER = timedelta(minutes=10)  # an app that was asked for is there, or it is known why not
_SET_UP_WITHIN = timedelta(minutes=2)
Answer = tuple[int, bytes, bool]
_NOTHING: Answer = (200, b"", False)
_GONE: Answer = (410, b"", False)
_MISSING: Answer = (404, b"", True)


class Conversation:
    """Talks with clients.

    Args:
        identifier: what the names of our profiles begin with, in reverse-DNS form.
        url_of: gives the address of a file that declarations name, by its digest.
        manifest_url: gives the address of an own package's manifest, by the word in it.
        profile_of: gives the enrolment profile for an invitation's token and a topic.
        vault_key: seals what is secret in the database.
    """

    def __init__(
        self,
        identifier: str,
        *,
        url_of: Callable[[str], str],
        manifest_url: Callable[[str], str],
        profile_of: Callable[[str, str], bytes],
        vault_key: bytes,
    ) -> None:
        self._following = Following(identifier, url_of=url_of, manifest_url=manifest_url)
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
            self._following.follow(client, now)
        if message.awaiting_configuration:
            client.ask_at = now + _SET_UP_WITHIN  # whatever happens, nobody waits for longer
            self._let_go(client, now)

    def _let_go(self, client: Client, now: datetime, *, at_once: bool = False) -> None:
        """Have a tablet go on with its set-up once it has what it shall have, so that nobody is faster than that."""
        is_ready = client.followed_profile is None or Known.read(client.told).applied == client.followed_profile
        if not client.is_set_up and (is_ready or at_once):
            commands.ensure(client.device_id, Wanted(requests.CONFIGURED), now=now)

    # -- declarations --------------------------------------------------------------------------------------------

    def _declare(self, client: Client, message: DeclarativeManagement, now: datetime) -> Answer:
        token = client.declared_token
        if message.endpoint == "status":
            self._take_status(client, message.data or b"", now)
            return _NOTHING
        if message.endpoint == "tokens":
            self._following.follow(client, now)
            if client.declared_token is None or client.declared_at is None:
                return _MISSING
            return (200, declarations.sync_tokens(client.declared_token, client.declared_at), True)
        found = declaring.document(token, message.endpoint) if token is not None else None
        return (200, found.encode(), True) if found is not None else _MISSING

    def _take_status(self, client: Client, data: bytes, now: datetime) -> None:
        known = Known.read(client.told)
        before = known
        known = known.with_status(read_status(data), now)
        client.told = known.written()
        self._note_change(client, before, known)
        self._following.follow(client, now)
        self._report(client, Known.read(client.told), now)

    def _note_change(self, client: Client, before: Known, known: Known) -> None:
        """Have what it shall have be worked out anew where it does not stand any more on what was known."""
        if known.premises != before.premises:
            client.followed_version = None

    def _report(self, client: Client, known: Known, now: datetime) -> None:
        applied, found = self._following.outcome(client, known)
        known = known.with_applied(applied)
        client.told = known.written()
        sequence = clients.next_sequence(client)
        reporting.receive("apple", [known.report(client, failures=found.failures, sequence=sequence)], now=now)
        self._let_go(client, now)

    # -- commands ------------------------------------------------------------------------------------------------

    def result(self, message: Result, thumbprint: str, *, now: datetime) -> tuple[int | None, bytes]:
        """Take a result; return which tablet's it is, and the next command, empty where there is none.

        Raises:
            IdentityError: the certificate is another tablet's, or its enrolment has ended.
        """
        if message.enrolment.kind is not SpeakerKind.DEVICE:
            return None, b""
        client = clients.speaker(thumbprint, message.enrolment.text, leaves=_is_farewell(message), now=now)
        self._following.follow(client, now)
        if isinstance(message, Idle):
            commands.begin_call(client.device_id, now=now)
            self._keep_time(client, now)
        else:
            self._take(client, message, now)
            if client.followed_version is None:  # it told something that all else depends on
                self._following.follow(client, now)
        commands.note_call(client, requests.word_of(message), now=now)
        while (following := commands.take_next(client.device_id, now=now)) is not None:
            try:
                body = self._build(following, client, now)
            except (NoUnlockTokenError, UnsealError, KeyError, PlistError) as error:  # the queue goes on
                commands.answer(client.device_id, following.uid, "error", detail=type(error).__name__, now=now)
                if following.order_uid is not None:
                    _finish(following, None, now=now)
                continue
            if following.order_uid is not None:
                commands.note_sent(following, now=now)
            if following.kind in {requests.INSTALL, requests.DECLARE}:
                _note_fetched(client, now)
            return client.device_id, plists.write({"CommandUUID": following.uid, "Command": body})
        return client.device_id, b""

    def _build(self, command: Command, client: Client, now: datetime) -> dict[str, Any]:
        if command.kind == requests.RENEW:
            return install_profile(self._own_profile(client, now))
        if command.kind == requests.ERASE and (command.content or {}).get("come_back"):
            return erase(ReturnToService(self._following.networks(client), self._own_profile(client, now)))
        return requests.build(command, client, self._vault_key)

    def _own_profile(self, client: Client, now: datetime) -> bytes:
        """Return an enrolment profile for the tablet that is enrolled: it brings a new certificate."""
        return self._profile_of(inviting.renew(client.device, now=now), client.topic or "")

    def _keep_time(self, client: Client, now: datetime) -> None:
        """Queue what is due by the clock: how the tablet is, all that it has, a new certificate; mend what is not."""
        due: list[str] = []
        if client.ask_at is None or client.ask_at <= now:
            due.append(requests.INFORMATION)
            client.ask_at = now + ASK_EVERY
            if client.inventory_at is None or client.inventory_at <= now - INVENTORY_EVERY:
                due += requests.INVENTORY
                client.inventory_at = now
            self._following.mend(client, now)
            self._let_go(client, now, at_once=True)
        if client.renew_at is not None and client.renew_at <= now:
            due.append(requests.RENEW)
            client.renew_at = now + RENEWAL_AGAIN
        for kind in due:
            commands.queue(client.device_id, Wanted(kind, priority=commands.CALM, replaces=True), now=now)

    def _take(self, client: Client, message: Result, now: datetime) -> None:
        uid = getattr(message, "command_uuid", None)
        if uid is None and isinstance(message, CommandFormatError):
            uid = commands.last_sent(client.device_id)  # it could not read even which one it was
        if uid is None:
            return
        detail = None
        if isinstance(message, Failed | CommandFormatError):
            detail = " ".join(f"{link.domain}:{link.code}" for link in message.chain)
        done = commands.answer(client.device_id, uid, requests.word_of(message), detail=detail, now=now)
        if done is None or isinstance(message, NotNow):
            return
        self._learn(client, done, message, now)
        if done.order_uid is not None:
            _finish(done, message, now=now)
        if _is_last(done.content, done.kind) and isinstance(message, Acknowledged):
            clients.leave(client, now=now)  # it is erased, and nobody of ours is there any more

    def _learn(self, client: Client, done: Command, message: Result, now: datetime) -> None:
        """Keep what an answer tells of the tablet, and report it."""
        if done.kind == requests.INSTALL and (done.content or {}).get("file") != client.lesson_file:
            return  # another lesson has taken its place
        if done.kind == requests.CONFIGURED and isinstance(message, Acknowledged):
            client.is_set_up = True
        if done.kind == requests.INSTALL_APP and client.ask_at is not None:
            client.ask_at = min(client.ask_at, now + _APP_AFTER)
        known = Known.read(client.told)
        # Nobody can take away what is not there: it has gone by its own clock.
        if isinstance(message, Acknowledged) or (isinstance(message, Failed) and done.kind == requests.REMOVE):
            told = known.with_answer(done, message.answer)
        else:
            told = known.with_refusal(done)
            if told is not None and client.ask_at is not None:
                client.ask_at = min(client.ask_at, now + _AGAIN[min(told.tries, len(_AGAIN)) - 1])
        if told is None:
            return
        self._note_change(client, known, told)
        self._report(client, told, now)


def _note_fetched(client: Client, now: datetime) -> None:
    """Note that a tablet is handed what it shall have now: from here on a lesson counts as begun on it."""
    version = client.followed_version
    if version is not None and client.device.state.fetched_version != version:
        polls.note_fetched({client.device_id: version}, now=now)


def _is_last(content: Mapping[str, Any] | None, kind: str) -> bool:
    """Whether a command is a client's last: it erases its tablet, which does not come back by itself."""
    return kind == requests.ERASE and not (content or {}).get("come_back")


def _is_farewell(message: Result) -> bool:
    """Whether a client says that it is about to be erased."""
    if not isinstance(message, Acknowledged):
        return False
    sent = commands.find(message.command_uuid)
    return sent is not None and _is_last(sent.content, sent.kind)


def _finish(done: Command, message: Result | None, *, now: datetime) -> None:
    """Tell how a command's order ended; None: it could not even be sent."""
    is_done = isinstance(message, Acknowledged)
    place = (
        read_location(message.answer) if isinstance(message, Acknowledged) and done.kind == requests.LOCATE else None
    )
    state = OrderState.DONE if is_done and (place is not None or done.kind != requests.LOCATE) else OrderState.FAILED
    try:
        orders.finish(
            done.order_uid or "", device_id=done.device_id, state=state, detail=done.detail or "",
            result=_written(place, now) if place is not None else None, now=now,
        )  # fmt: skip
    except (OrderClosedError, NotFoundError):
        return  # its time was over before the tablet's word came, perhaps for long


def _written(place: Location, now: datetime) -> dict[str, Any]:
    at = (place.located_at or now).isoformat()
    return {"latitude": place.latitude, "longitude": place.longitude, "accuracy_m": place.accuracy_m, "at": at}
