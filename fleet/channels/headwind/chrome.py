"""Rules of the web as Chrome's managed configuration, which the agent hands to Chrome.

Invariants: the configuration is said even where it asks nothing, as Chrome keeps the last one it was handed. Only
Chrome reads it; where it asks what matters, the other browsers that we know of are closed (``locking``).

Source: https://chromeenterprise.google/policies/ (names and numbers); ``managedConfig`` in the agent's
``AppRestrictionUpdater``: a JSON object in a text.
"""

import json
from collections.abc import Mapping
from typing import Any

from profiles import chrome_lists

# Source: the policies' own numbers.
_FILTER_ADULT, _NO_INCOGNITO, _NO_POPUPS, _NO_COOKIES = 1, 1, 2, 2


def configuration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return Chrome's policies for settings; empty where Chrome may do all it can."""
    found: dict[str, Any] = {}
    lists = chrome_lists.lists(settings)
    if lists.blocked is not None:
        found["URLBlocklist"] = list(lists.blocked)
    if lists.allowed is not None:
        found["URLAllowlist"] = list(lists.allowed)
    if settings.get("web.adult_filter"):
        found["SafeSitesFilterBehavior"] = _FILTER_ADULT
    if settings.get("web.safe_search"):
        found["ForceGoogleSafeSearch"] = True
    if settings.get("web.private_browsing_allowed") is False:
        found["IncognitoModeAvailability"] = _NO_INCOGNITO
    if settings.get("web.popups_allowed") is False:
        found["DefaultPopupsSetting"] = _NO_POPUPS
    if settings.get("web.autofill_allowed") is False:
        found["PasswordManagerEnabled"] = False
    return found | _cookies(settings.get("web.cookies", "always"))


def _cookies(word: str) -> dict[str, Any]:
    cookies: Mapping[str, dict[str, Any]] = {
        "always": {},
        "visited-sites": {"BlockThirdPartyCookies": True},
        "never": {"DefaultCookiesSetting": _NO_COOKIES},
    }
    return cookies[word]


def as_text(settings: Mapping[str, Any]) -> str:
    """Return the same as the text that the agent takes."""
    return json.dumps(configuration(settings), ensure_ascii=False, separators=(",", ":"))
