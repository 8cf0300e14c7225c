"""What people call things: names of products and everyday words that lead to a setting, and the search that knows them.

The titles stay as they are: a setting is for several kinds of tablets. Here is what a search finds it by besides.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from profiles.key import REPORT, Key

_SHORTEST_SOURCE = 5  # a shorter word would be found in every "com.apple" and "no_…"
_BROWSER = "Safari Chrome nettleser nettlesar browser Internett Internet"
_WIFI = "Wi-Fi WiFi WLAN trådløst nett trådlaust nett SSID nettverk network"
_PASSCODE = "PIN passkode passord password skjermlås"

KNOWN_AS: Mapping[str, str] = MappingProxyType(
    {
        "accounts.changes_allowed": "Apple-ID Apple ID Apple Account Google-konto e-postkonto iCloud",
        "apps.age_rating": "aldersgrense App Store Play",
        "apps.allowed": "hviteliste kviteliste whitelist allowlist",
        "apps.blocked": "svarteliste blacklist blocklist forby fjerne skjule",
        "apps.clips_allowed": "App Clips",
        "apps.installation_allowed": "App Store AppStore Google Play Butikk Play Store laste ned",
        "apps.purchases_allowed": "App Store kjøp i app in-app purchase",
        "apps.removal_allowed": "slette avinstallere uninstall",
        "apps.required": "App Store Play installere VPP",
        "apps.unknown_sources_allowed": "sideload APK",
        "assistant.allowed": "Siri Google Assistent Assistant stemmestyring",
        "bluetooth.allowed": "Blåtann hodetelefoner øreklokker AirPods tastatur",
        "bluetooth.changes_allowed": "Blåtann hodetelefoner øreklokker AirPods tastatur",
        "camera.allowed": "kamera foto bilde bilete FaceTime video",
        "classroom.unprompted_observation": "Klasserom Classroom skjermvisning",
        "clock.automatic": "tid dato klokke time date",
        "cloud.backup_allowed": "iCloud sikkerhetskopi sky backup",
        "cloud.documents_allowed": "iCloud Drive Dokumenter Filer sky",
        "cloud.private_relay_allowed": "iCloud Private Relay privat videresending VPN",
        "dictation.allowed": "Siri tale til tekst stemme mikrofon",
        "dictionary.lookup_allowed": "ordbok ordliste leksikon",
        "factory_reset.allowed": "slette alt fabrikkinnstillinger nullstille reset",
        "games.centre_allowed": "Game Center GameCenter spill spel",
        "games.multiplayer_allowed": "Game Center GameCenter spill spel",
        "hotspot.changes_allowed": "Internettdeling hotspot tethering mobilt nett",
        "kiosk.app": "kiosk Guided Access Autonomous Single App Mode enkeltapp prøvemodus eksamen",
        "location.sharing_allowed": "Hvor er Finn Find My GPS posisjon",
        "messages.allowed": "iMessage SMS Meldinger chat",
        "os.minimum_android": "Android versjon",
        "os.minimum_ipados": "iOS iPadOS versjon",
        "os.minimum_version": "iOS iPadOS Android versjon",
        "os_update.deferral_days": "iOS iPadOS Android oppdatering oppgradering",
        "os_update.window": "iOS iPadOS Android oppdatering oppgradering",
        "passcode.auto_lock_minutes": f"{_PASSCODE} dvale skjerm",
        "passcode.biometry_allowed": "Touch ID Face ID TouchID FaceID",
        "passcode.changes_allowed": _PASSCODE,
        "passcode.max_age_days": _PASSCODE,
        "passcode.max_failed_attempts": _PASSCODE,
        "passcode.min_length": _PASSCODE,
        "passcode.quality": _PASSCODE,
        "passcode.required": _PASSCODE,
        "printing.printers": "AirPrint skriver skrivar printer utskrift",
        "profiles.installation_allowed": "MDM profil",
        "proxy.server": "proxy",
        "screenshots.allowed": "skjermdump skjermopptak screenshot",
        "sharing.nearby_allowed": "AirDrop Quick Share Nearby Share",
        "sound.locked": "volum lyd",
        "sound.volume_max_percent": "volum lyd hørsel",
        "spelling.check_allowed": "rettskriving retteprogram",
        "spelling.autocorrect_allowed": "rettskriving retteprogram",
        "spelling.prediction_allowed": "skriveforslag tastatur",
        "usb.pairing_allowed": "iTunes Finder PC Mac USB",
        "usb.storage_allowed": "minnepenn minnepinne",
        "video_calls.allowed": "FaceTime video Teams videosamtale",
        "wallpaper.changes_allowed": "bakgrunn",
        "wallpaper.image": "bakgrunn",
        "web.adult_filter": f"{_BROWSER} porno",
        "web.allowed": f"{_BROWSER} hviteliste kviteliste whitelist",
        "web.autofill_allowed": f"{_BROWSER} nøkkelring passord iCloud Keychain",
        "web.blocked": f"{_BROWSER} svarteliste blacklist YouTube TikTok Snapchat",
        "web.bookmarks": f"{_BROWSER} bokmerke favoritt snarvei",
        "web.cookies": _BROWSER,
        "web.popups_allowed": f"{_BROWSER} popup",
        "web.private_browsing_allowed": f"{_BROWSER} inkognito incognito privat",
        "web.safe_search": f"{_BROWSER} Google SafeSearch",
        "wifi.networks": _WIFI,
        "wifi.only_known": _WIFI,
        "writing_tools.allowed": "Apple Intelligence AI ChatGPT",
    }
)


def is_called(key: Key, typed: Iterable[str], *texts: str) -> bool:
    """Whether each typed word stands in a setting's name, its titles, what people or a channel call it, or ``texts``.

    Args:
        key: the setting.
        typed: words, in any case.
        texts: what else it is told by, such as its help in the reader's language.
    """
    plain = re.sub("[._]", " ", key.name)
    known = " ".join((key.name, plain, *key.title.values(), KNOWN_AS.get(key.name, ""), *texts)).casefold()
    own = " ".join(source for source in key.sources.values() if source != REPORT).casefold()
    return all(word in known or (len(word) >= _SHORTEST_SOURCE and word in own) for word in map(str.casefold, typed))
