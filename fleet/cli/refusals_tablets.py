"""What is refused of tablets' own clients, the built-in one and Android's agent; see :mod:`fleet.cli.refusals`."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, always, see


def _no_network(data: Data) -> str:
    known = data.get("known")
    there = f"; it has: {', '.join(known)}" if known else ", and none else that a tablet joins by itself"
    return f"the profiles of the ticket's place have no network {data.get('name')}{there}"


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {
        "android-token-unused": lambda data: (
            f"tablet {data.get('serial')} is still coming in: it has not used its first address yet"
        ),
        # What a tablet's client or agent sends; staff see these in tests and simulators only.
        "headwind-message": always("the agent's message cannot be read"),
        "invitation": always("the invitation is used up or over: ask with the ticket's code again"),
        "identity": always("the certificate does not speak for this tablet"),
        "plist": always("the message is no property list"),
        "device-message": lambda data: f"the message's {data.get('key')} is missing or wrong ({data.get('reason')})",
        "status": always("the status report is none"),
    }
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "agent package"): always(
            f"there is no package of the agent yet: download it from h-mdm.com, then {see('apps upload FILE')}"
        ),
        ("not-found", "android tablet"): lambda data: f"tablet {data.get('name')} has no open agent that is enrolled",
        ("not-found", "network of the place"): _no_network,
        ("not-found", "admin password"): lambda data: (
            f"tablet {data.get('name')} did not come with the Android agent, so it has no admin password"
        ),
        ("invalid", "admin password"): lambda data: f"give {data.get('expected')}: --reason",
        ("invalid", "qr"): always("a QR code is written as .svg or .png: name such a file with --output"),
    }
)
