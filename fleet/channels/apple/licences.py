"""Apple's service for licences of apps and books: what it can be asked, and the client that asks.

Invariants: a request ends in its answer, in :class:`RefusedError` (this can never be, as it stands) or in
:class:`LicencesError` (not now, or not with this token), which says whether the service may have heard it. No token
stands in a log or an error.

Source: https://developer.apple.com/documentation/devicemanagement/app-and-book-management: getting-started-with-the-
management-api, managing-assets, using-paginated-endpoints, handling-error-responses.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec

from fleet.apps.licence_rounds import Limits, Part, Stock
from fleet.channels.apple.services import Answer, NotReachedError, Service
from fleet.channels.apple.steward import ServiceError
from fleet.errors import ReasonError

APPLE = "https://vpp.itunes.apple.com"
_PATH = "/mdm/v2"
_MOST_PAGES = 5_000
_STORE_ID, _PRICING = re.compile(r"[0-9]{1,18}"), re.compile(r"[A-Za-z0-9_-]{1,16}")
# Source: handling-error-responses. The older numbers are said to a token or an assignment still.
_TOKEN = {9621: "token-expired", 9625: "token-revoked", 9601: "token-refused", 9622: "token-refused",
          9722: "token-refused"}  # fmt: skip
_LATER = frozenset({9603, 9644, 9646, 9729})
_NOT_ALLOWED, _NO_EVENT = frozenset({9637, 9647}), 9708
_REASONS = {9709: "none-left", 9610: "none-left", 9631: "none-left", 9707: "not-for-devices", 9628: "not-for-devices"}
_IS_SO_ALREADY = frozenset({9616, 9619, 9630})  # assigned, or not assigned, as was asked
_Told = TypeVar("_Told")


class LicencesError(ServiceError):
    """The service does not answer, or not to us.

    Args:
        reason: ``unreachable``, ``busy``, ``answer``, ``not-allowed``, ``token-…``, or a word of the connection's.
        after: how long it asks to wait.
        may_have_heard: whether it may have done what was asked.
    """

    def __init__(self, reason: str, *, after: timedelta | None = None, may_have_heard: bool = False) -> None:
        super().__init__(reason, after=after)
        self.may_have_heard = may_have_heard


class RefusedError(ReasonError):
    """What was asked for cannot be.

    Args:
        reason: see :class:`~fleet.apps.licence_models.AppLicence`.
        number: of the error, as the service counts them.
        serials: of the tablets it is about, where it names them.
    """

    def __init__(self, reason: str, number: int, serials: frozenset[str] = frozenset()) -> None:
        super().__init__(reason)
        self.number, self.serials = number, serials


@dataclass(frozen=True, slots=True)
class Owner:
    """Which service manages the licences, as it said itself."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Event:
    """How something that was asked for stands.

    Args:
        is_over: whether the service is done with it.
        is_done: whether all of it is so now.
        reasons: why not, by serial; of None for tablets that are not named.
    """

    is_over: bool
    is_done: bool
    reasons: Mapping[str | None, str]


class Licences(Protocol):
    """What the service can be asked. Each raises :class:`LicencesError`."""

    def owner(self) -> Owner | None:
        """Return which service manages the licences, None where none has said so."""

    def claim(self, owner: Owner, about: str) -> None:
        """Say that this service manages them from now on."""

    def limits(self) -> Limits:
        """Return how much may be asked for at once."""

    def stock(self) -> list[Stock]:
        """Return the apps that licences were bought of."""

    def holders(self, store_id: int) -> tuple[frozenset[str], bool]:
        """Return the serials of tablets that have a licence of an app, and whether these are all for certain."""

    def ask(self, part: Part) -> str:
        """Ask for licences, or give them back; returns what the service calls the event.

        Raises:
            RefusedError: nothing of it can be.
        """

    def event(self, event_id: str) -> Event:
        """Return how an event stands; one that the service does not know is over and not done."""


class _Camel(msgspec.Struct, rename="camel"):
    """What all answers are: objects whose fields are named so."""


class _Info(_Camel):
    serial_numbers: list[str] = []


class _Error(_Camel):
    error_number: int = 0
    error_info: _Info | None = None


class _MdmInfo(_Camel):
    id: str = ""
    name: str = ""


class _Config(_Camel):
    mdm_info: _MdmInfo | None = None


class _Limits(_Camel):
    max_assets: Annotated[int, msgspec.Meta(ge=1)] = 25
    max_serial_numbers: Annotated[int, msgspec.Meta(ge=1)] = 100


class _Service(_Camel):
    limits: _Limits


class _Asset(_Camel):
    adam_id: str | int
    pricing_param: str = "STDQ"
    total_count: int = 0
    assigned_count: int = 0
    available_count: int = 0
    device_assignable: bool = True


class _Assignment(_Camel):
    serial_number: str | None = None


class _Page(_Camel):
    assets: list[_Asset] = []
    assignments: list[_Assignment] = []
    current_page_index: int = 0
    next_page_index: int | None = None
    total_pages: int = 1
    version_id: str | None = None


class _Asked(_Camel):
    event_id: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,64}$")]


class _Status(_Camel):
    event_status: str
    failures: list[_Error] = []


class AppsAndBooks:
    """The client.

    Args:
        token: as it was downloaded.
        base_url: where the service is.
        now: the clock.
    """

    def __init__(self, token: str, *, base_url: str = APPLE, now: Callable[[], datetime]) -> None:
        self._token, self._service, self._now = token, Service(f"{base_url}{_PATH}"), now

    def owner(self) -> Owner | None:
        """See :class:`Licences`."""
        found = self._get("/client/config", _Config).mdm_info
        return Owner(found.id, found.name) if found is not None and found.id else None

    def claim(self, owner: Owner, about: str) -> None:
        """See :class:`Licences`. Source: MdmInfo; error 9723: all three are needed."""
        told = {"mdmInfo": {"id": owner.id, "name": owner.name[:100], "metadata": about[:255]}}
        self._request("POST", "/client/config", told)

    def limits(self) -> Limits:
        """See :class:`Licences`."""
        found = self._get("/service/config", _Service).limits
        return Limits(found.max_assets, found.max_serial_numbers)

    def stock(self) -> list[Stock]:
        """See :class:`Licences`; where there are two qualities of an app, the standard one counts."""
        found: dict[int, Stock] = {}
        for page in self._pages("/assets", {"productType": "App"}):
            for one in page.assets:
                if not _is_sound(one):
                    continue
                if one.pricing_param == "STDQ" or int(one.adam_id) not in found:
                    found[int(one.adam_id)] = Stock(
                        int(one.adam_id), one.total_count, one.assigned_count, one.available_count,
                        one.device_assignable, one.pricing_param,
                    )  # fmt: skip
        return list(found.values())

    def holders(self, store_id: int) -> tuple[frozenset[str], bool]:
        """See :class:`Licences`; what changes while pages are turned may be missed between two of them."""
        serials: set[str] = set()
        versions = set()
        for page in self._pages("/assignments", {"adamId": str(store_id)}):
            told = (one.serial_number for one in page.assignments)
            serials |= {one for one in told if one is not None and one.isprintable()}
            versions.add(page.version_id)
        return frozenset(serials), len(versions) == 1

    def ask(self, part: Part) -> str:
        """See :class:`Licences`."""
        assets = [{"adamId": str(store_id), "pricingParam": pricing} for store_id, pricing in part.apps.items()]
        path = "/assets/disassociate" if part.gives_back else "/assets/associate"
        answer = self._request("POST", path, {"assets": assets, "serialNumbers": list(part.serials)})
        return _decoded(answer, _Asked, may_have_heard=True).event_id

    def event(self, event_id: str) -> Event:
        """See :class:`Licences`."""
        try:
            found = self._get(f"/status?{urlencode({'eventId': event_id})}", _Status)
        except RefusedError as error:
            if error.number == _NO_EVENT:
                return Event(is_over=True, is_done=False, reasons={})
            raise LicencesError("answer") from None
        if found.event_status == "PENDING":
            return Event(is_over=False, is_done=False, reasons={})
        reasons: dict[str | None, str] = {}
        for one in found.failures:
            if one.error_number in _LATER or one.error_number in _IS_SO_ALREADY:
                continue
            named = one.error_info.serial_numbers if one.error_info is not None else []
            for serial in named or (None,):
                reasons[serial] = _REASONS.get(one.error_number, "refused")
        is_done = found.event_status == "COMPLETE" and not found.failures
        return Event(is_over=True, is_done=is_done, reasons=reasons)

    def _pages(self, path: str, asked: Mapping[str, str]) -> Iterator[_Page]:
        """Source: using-paginated-endpoints."""
        index: int | None = None
        for _ in range(_MOST_PAGES):
            told = {**asked, **({} if index is None else {"pageIndex": str(index)})}
            page = self._get(f"{path}?{urlencode(told)}", _Page)
            yield page
            index = page.next_page_index
            if index is None and page.current_page_index + 1 < page.total_pages:
                index = page.current_page_index + 1
            if index is None:
                return
        raise LicencesError("answer")

    def _get(self, path: str, kind: type[_Told]) -> _Told:
        return _decoded(self._request("GET", path, None), kind, may_have_heard=False)

    def _request(self, method: str, path: str, told: Mapping[str, Any] | None) -> bytes:
        body = None if told is None else msgspec.json.encode(told)
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = self._service.call(method, path, headers, body)
        except NotReachedError:
            raise LicencesError("unreachable") from None
        except ServiceError as error:
            raise LicencesError(error.reason, may_have_heard=True) from None
        _judge(answer, self._now())
        return answer.body


def _is_sound(one: _Asset) -> bool:
    """Whether an app is told so that it can be kept: one that is not keeps no other from being known."""
    counts = (one.total_count, one.assigned_count, one.available_count)
    is_known = _STORE_ID.fullmatch(str(one.adam_id)) is not None and _PRICING.fullmatch(one.pricing_param) is not None
    return is_known and all(abs(count) < 2**31 for count in counts)


def _decoded(content: bytes, kind: type[_Told], *, may_have_heard: bool) -> _Told:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, ValueError):
        raise LicencesError("answer", may_have_heard=may_have_heard) from None


def _judge(answer: Answer, now: datetime) -> None:
    """Raise what an answer says; an error may come with any status, with 200 too.

    Source: handling-error-responses; others have measured that an invalid token is told with 200.
    """
    try:
        error = msgspec.json.decode(answer.body, type=_Error)
    except (msgspec.MsgspecError, ValueError):
        error = _Error()
    status, number = answer.status, error.error_number
    if status < HTTPStatus.BAD_REQUEST and not number:
        return
    if number in _TOKEN or status == HTTPStatus.UNAUTHORIZED:
        raise LicencesError(_TOKEN.get(number, "token-refused"))
    if number in _NOT_ALLOWED or status == HTTPStatus.FORBIDDEN:
        raise LicencesError("not-allowed")
    is_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if is_fault or number in _LATER or status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GONE}:
        raise LicencesError("busy", after=answer.wait(now), may_have_heard=is_fault)
    named = error.error_info.serial_numbers if error.error_info is not None else []
    raise RefusedError(_REASONS.get(number, "refused"), number, frozenset(named))
