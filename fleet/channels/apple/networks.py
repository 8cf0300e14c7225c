"""Payloads for Wi-Fi networks and for the proxy that all web traffic goes through.

Source: mdm/profiles/com.apple.wifi.managed.yaml and com.apple.proxy.http.global.yaml of Apple's device-management
schema (iOS 18.1).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fleet.channels.apple.contents import Piece, Settings, place_of
from profiles.unmet import can_be_joined, host_and_port

# Source: EncryptionType: since iOS 16, WPA2 joins WPA2 and WPA3 networks, WPA3 only the latter.
_ENCRYPTION: Mapping[str, str] = MappingProxyType(
    {"open": "None", "wpa2": "WPA2", "wpa3": "WPA3", "enterprise": "WPA2"}
)
# Source: AcceptEAPTypes: PEAP and TTLS, the two that ask for a name and a password.
_ASKING_FOR_NAME = (25, 21)


def wifi(settings: Settings) -> list[Piece]:
    """Return a payload for each network, so that changing one leaves the others joined.

    A network that cannot be is left out, as an iPad refuses a profile as a whole (:mod:`profiles.unmet`).
    """
    return [
        Piece("com.apple.wifi.managed", place_of("wifi", network["ssid"]), _network(network))
        for network in settings.get("wifi.networks") or ()
        if can_be_joined(network)
    ]


def _network(network: Mapping[str, Any]) -> dict[str, Any]:
    security, password = network["security"], network.get("password")
    body: dict[str, Any] = {
        "SSID_STR": network["ssid"],
        "EncryptionType": _ENCRYPTION[security],
        "AutoJoin": network.get("auto_join", True),
        "HIDDEN_NETWORK": network.get("hidden", False),
    }
    if security == "enterprise":  # the iPad asks for the name, and for the password where there is none
        known = {"UserPassword": password} if password is not None else {}
        return body | {"EAPClientConfiguration": {"AcceptEAPTypes": list(_ASKING_FOR_NAME), **known}}
    return body | ({"Password": password} if password is not None and security != "open" else {})


def proxy(settings: Settings) -> list[Piece]:
    """Return the proxy; nothing where the setting names no port (:mod:`profiles.unmet`)."""
    address = host_and_port(settings.get("proxy.server", ""))
    if address is None:
        return []
    host, port = address
    body = {"ProxyType": "Manual", "ProxyServer": host, "ProxyServerPort": port}
    return [Piece("com.apple.proxy.http.global", "proxy", body)]
