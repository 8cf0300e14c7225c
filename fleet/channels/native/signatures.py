"""Signatures of polls that were found right: a tablet sends the same one for some minutes.

Only what a check depends on is compared, every byte of it, and only right ones are kept. Not here: whether a request is
recent, and whether its key is still the tablet's; both are asked each time.
"""

from collections import OrderedDict

from agent_protocol.signing import SignedRequest
from fleet.channels.http import Request

_LONGEST_PATH = 128
_Told = tuple[str, str, str, str, str]


class Checked:
    """The last ones of a bounded number of requests, with the tablet that signed.

    Args:
        kept: how many; each takes about a kibibyte, as no path of ours is long and none has a query.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._known: OrderedDict[_Told, tuple[int, SignedRequest]] = OrderedDict()

    def find(self, request: Request) -> tuple[int, SignedRequest] | None:
        """Return which tablet signed a request without a body, and its signature; None where it is to be checked."""
        return self._known.get(_told(request))

    def keep(self, request: Request, device_id: int, signed: SignedRequest) -> None:
        """Remember that a request without a body was signed by a tablet."""
        if request.query or len(request.path) > _LONGEST_PATH:
            return
        self._known[_told(request)] = device_id, signed
        if len(self._known) > self._kept:
            self._known.popitem(last=False)


def _told(request: Request) -> _Told:
    headers = request.headers
    signature = headers.get("signature-input", ""), headers.get("signature", "")
    return (*signature, request.method, request.path, request.query)
