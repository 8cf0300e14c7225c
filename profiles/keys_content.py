"""The vocabulary's settings for apps, the web, networks and what a tablet looks like."""

from profiles.key import Key, allowed, sources
from profiles.kinds import APP, APPS, FLAG, HOST, HOSTS, TIME, Choice, Items, Record, Records, Text, Whole
from profiles.rules import FARTHEST, HIGHEST, INTERSECTION, LOWEST, NEAREST, ON_WINS, UNION, ByName, last_of

_RATINGS = ("17+", "12+", "9+", "4+")
_COOKIES = ("always", "visited-sites", "never")
_WIFI = Record(
    {
        "ssid": Text(32, words="a network's name"),
        "security": Choice(("open", "wpa2", "wpa3", "enterprise")),
        "password": Text(63, words="a password"),
        "hidden": FLAG,
        "auto_join": FLAG,
    },
    ("ssid", "security"),
)
_WEB_CLIP = Record(
    {"title": Text(40, words="a title"), "url": Text(500, words="an address"), "icon": Text(64)}, ("title", "url")
)
_PAGE = Record({"page": Whole("page number", 1, 15), "apps": Items(APP, "app ids", ordered=True)}, ("page", "apps"))
_PRINTER = Record({"name": Text(60, words="a name"), "address": HOST}, ("name", "address"))

KEYS = (
    Key(
        "apps.required", APPS, UNION, None, {"nb": "Apper som skal være installert", "en": "Apps that must be installed"},
        "Installeres og holdes oppdatert. En app som et annet lag blokkerer, blir ikke installert.",
        sources("InstallApplication", "applications[]", "apps.json"),
    ),
    Key(
        "apps.allowed", APPS, INTERSECTION, None, {"nb": "Bare disse appene", "en": "Only these apps"},
        "Når listen finnes, vises og åpnes bare disse appene. Flere lag: bare det alle tillater.",
        sources("allowListedAppBundleIDs", "com.hmdm.launcher unlocked_packages", "apps.json"),
    ),
    Key(
        "apps.blocked", APPS, UNION, None, {"nb": "Blokkerte apper", "en": "Blocked apps"},
        "Kan ikke åpnes. Blokkering vinner over påkrevd og tillatt.",
        sources("blockedAppBundleIDs", "com.hmdm.launcher locked_packages", "apps.json"),
    ),
    allowed("apps.installation_allowed", "Installere apper selv", "Install apps oneself",
            "Om eleven kan hente apper fra en appbutikk.", "allowAppInstallation", "no_install_apps", native=True),
    allowed("apps.removal_allowed", "Slette apper", "Remove apps", "Om eleven kan slette apper.", "allowAppRemoval",
            "no_uninstall_apps", native=True),
    allowed("apps.purchases_allowed", "Kjøp i apper", "In-app purchases", "Om apper kan selge noe.", "allowInAppPurchases"),
    allowed("apps.clips_allowed", "Appklipp", "App clips", "Små deler av apper som åpnes fra en kode eller nettside.",
            "allowAppClips"),
    Key(
        "apps.age_rating", Choice(_RATINGS), last_of(_RATINGS), None, {"nb": "Høyeste aldersgrense for apper", "en": "Highest app age rating"},
        "Apper med høyere aldersgrense skjules. Det strengeste laget gjelder.", sources("ratingApps", None, None),
    ),
    allowed("apps.unknown_sources_allowed", "Apper fra ukjente kilder", "Apps from unknown sources",
            "Om apper kan installeres utenom butikken.", "allowEnterpriseAppTrust", "no_install_unknown_sources"),
    Key(
        "apps.update_window", Record({"from": TIME, "until": TIME}, ("from", "until")), NEAREST, None,
        {"nb": "Når apper oppdateres", "en": "When apps are updated"},
        "Klokkeslett på nettbrettet; utenfor vinduet oppdateres ingenting.", sources(None, "appUpdateFrom/To", "apps.json"),
    ),
    Key(
        "web.allowed", HOSTS, INTERSECTION, None, {"nb": "Bare disse nettstedene", "en": "Only these websites"},
        "Når listen finnes, er alt annet stengt. Flere lag: bare det alle tillater.",
        sources("com.apple.webcontent-filter AllowListBookmarks", "Chrome URLAllowlist", "web.json"),
    ),
    Key(
        "web.blocked", HOSTS, UNION, None, {"nb": "Stengte nettsteder", "en": "Blocked websites"},
        "Stengt for alle under laget som sier det. Blokkering vinner over tillatt.",
        sources("com.apple.webcontent-filter DenyListURLs", "Chrome URLBlocklist", "web.json"),
    ),
    Key(
        "web.adult_filter", FLAG, ON_WINS, False, {"nb": "Filter for voksent innhold", "en": "Adult content filter"},
        "Slår på nettbrettets eget filter.",
        sources("com.apple.webcontent-filter AutoFilterEnabled", "Chrome SafeSitesFilterBehavior", None),
    ),
    Key(
        "web.safe_search", FLAG, ON_WINS, False, {"nb": "Trygt søk", "en": "Safe search"},
        "Søkemotorer viser ikke støtende treff.", sources(None, "Chrome ForceGoogleSafeSearch", "web.json"),
    ),
    allowed("web.private_browsing_allowed", "Privat nettlesing", "Private browsing",
            "Om nettleseren kan brukes uten historikk.", None, "Chrome IncognitoModeAvailability", native=True),
    allowed("web.autofill_allowed", "Autofyll av passord", "Password autofill", "Om passord fylles ut av seg selv.",
            "allowPasswordAutoFill", "Chrome PasswordManagerEnabled"),
    allowed("web.popups_allowed", "Sprettoppvinduer", "Pop-ups", "Om nettsider kan åpne nye vinduer.",
            "safariAllowPopups", "Chrome DefaultPopupsSetting", native=True),
    Key(
        "web.cookies", Choice(_COOKIES), last_of(_COOKIES), None, {"nb": "Informasjonskapsler", "en": "Cookies"},
        "Hvilke nettsteder som kan lagre informasjonskapsler.", sources("safariAcceptCookies", None, None),
    ),
    Key(
        "web.bookmarks", Records(_WEB_CLIP, "title"), ByName("title"), None, {"nb": "Snarveier til nettsider", "en": "Web shortcuts"},
        "Legges på hjemskjermen. Alle lags snarveier; av to med samme navn den nærmeste.",
        sources("com.apple.webClip.managed", "applications[] type web", "web.json"),
    ),
    Key(
        "wifi.networks", Records(_WIFI, "ssid"), ByName("ssid"), None, {"nb": "Trådløse nett", "en": "Wi-Fi networks"},
        "Nett som nettbrettet kjenner. Alle lags nett; av to med samme navn det nærmeste.",
        sources("com.apple.wifi.managed", "QR-kode og agent", "wifi.json"), secret=True,
    ),
    Key(
        "wifi.only_known", FLAG, ON_WINS, False, {"nb": "Bare kjente nett", "en": "Known networks only"},
        "Nettbrettet kobler seg ikke til andre nett enn dem profilen gir.",
        sources("forceWiFiToAllowedNetworksOnly", "no_config_wifi", "wifi.json"),
    ),
    Key(
        "proxy.server", Text(255, words="host:port"), FARTHEST, None, {"nb": "Mellomtjener", "en": "Proxy"},
        "Nettrafikk går gjennom denne. Et nettfilter som kommunen har satt, kan ikke byttes ut nærmere nettbrettet.", sources("com.apple.proxy.http.global", "com.hmdm.launcher proxy", "proxy.json"),
    ),
    Key(
        "kiosk.app", APP, FARTHEST, None, {"nb": "Lås til én app", "en": "Lock to one app"},
        "Bare denne appen kan brukes, til prøver og delte nettbrett. En lås kan ikke byttes eller åpnes nærmere nettbrettet.",
        sources("com.apple.app.lock", None, "kiosk.json"),
    ),
    Key(
        "home_screen.pages", Records(_PAGE, "page", 15), NEAREST, None, {"nb": "Hjemskjermens sider", "en": "Home screen pages"},
        "Hvilke apper som står hvor. Nærmeste lag gjelder i sin helhet.",
        sources("com.apple.homescreenlayout Pages", "applications[] screenOrder", "home_screen.json"),
    ),
    Key(
        "home_screen.dock", Items(APP, "app ids", ordered=True), NEAREST, None, {"nb": "Apper i dokken", "en": "Apps in the dock"},
        "Raden nederst på hjemskjermen.",
        sources("com.apple.homescreenlayout Dock", "applications[] bottom", "home_screen.json"),
    ),
    Key(
        "wallpaper.image", Text(64, words="an image's name"), NEAREST, None, {"nb": "Bakgrunnsbilde", "en": "Wallpaper"},
        "Navnet på et bilde som er lastet opp til serveren.", sources("Settings Wallpaper", "backgroundImageUrl", "wallpaper.json"),
    ),
    allowed("wallpaper.changes_allowed", "Bytte bakgrunnsbilde", "Change the wallpaper",
            "Om eleven kan bytte bakgrunnsbilde.", "allowWallpaperModification", "no_set_wallpaper", native=True),
    Key(
        "lock_screen.message", Text(120, words="a message"), NEAREST, None, {"nb": "Tekst på låseskjermen", "en": "Lock screen message"},
        "Står på låseskjermen, for eksempel hvem som eier nettbrettet.",
        sources("com.apple.shareddeviceconfiguration LockScreenFootnote", "description", "lock_screen.json"),
    ),
    allowed("lock_screen.notifications_allowed", "Varsler på låseskjermen", "Notifications on the lock screen",
            "Om varsler vises når nettbrettet er låst.", "allowLockScreenNotificationsView", native=True),
    Key(
        "sound.volume_max_percent", Whole("percent", 0, 100), LOWEST, None, {"nb": "Høyeste lydnivå", "en": "Highest volume"},
        "Lydnivået settes til dette. Det laveste gjelder.", sources(None, "volume", "sound.json"),
    ),
    Key(
        "sound.locked", FLAG, ON_WINS, False, {"nb": "Lås lydnivået", "en": "Lock the volume"},
        "Eleven kan ikke endre lydnivået.", sources(None, "lockVolume", "sound.json"),
    ),
    Key(
        "display.auto_brightness", FLAG, NEAREST, None, {"nb": "Automatisk lysstyrke", "en": "Automatic brightness"},
        "Skjermen følger lyset i rommet.", sources(None, "autoBrightness", "display.json"),
    ),
    Key(
        "display.brightness_percent", Whole("percent", 5, 100), NEAREST, None, {"nb": "Lysstyrke", "en": "Brightness"},
        "Skjermens lysstyrke når den ikke er automatisk.", sources(None, "brightness", "display.json"),
    ),
    Key(
        "printing.printers", Records(_PRINTER, "name"), ByName("name"), None, {"nb": "Skrivere", "en": "Printers"},
        "Skrivere som nettbrettet kjenner.", sources("com.apple.airprint", None, "printing.json"),
    ),
    Key(
        "language.locale", Text(12, words="a language tag such as nb-NO"), NEAREST, None, {"nb": "Språk", "en": "Language"},
        "Nettbrettets språk ved klargjøring.", sources("SetupAssistant Language", None, "language.json"),
    ),
    Key(
        "time_zone.name", Text(40, words="a zone such as Europe/Oslo"), NEAREST, None, {"nb": "Tidssone", "en": "Time zone"},
        "Nettbrettets tidssone.", sources("Settings TimeZone", "timeZone", "time_zone.json"),
    ),
    Key(
        "storage.keep_free_percent", Whole("percent", 1, 50), HIGHEST, 10, {"nb": "Ledig lagring", "en": "Free storage"},
        "Nettbrett med mindre ledig lagring meldes som nesten fulle. Håndheves av serveren, ikke av nettbrettet.",
        sources("report", "report", "report"),
    ),
)  # fmt: skip
