"""The vocabulary's settings for apps, the web, networks and what a tablet looks like."""

from profiles.key import REPORT, Key, allowed, sources, told
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
    ("password",),
)
_WEB_CLIP = Record(
    {"title": Text(40, words="a title"), "url": Text(500, words="an address"), "icon": Text(64)}, ("title", "url")
)
_PAGE = Record({"page": Whole("page number", 1, 15), "apps": Items(APP, "app ids", ordered=True)}, ("page", "apps"))
_PRINTER = Record({"name": Text(60, words="a name"), "address": HOST}, ("name", "address"))

KEYS = (
    Key(
        "apps.required", APPS, UNION, None, {"nb": "Apper som skal være installert", "en": "Apps that must be installed"},
        told("Installeres og holdes oppdatert. En app som et annet lag blokkerer, blir ikke installert.", "Installed and kept up to date. An app that another layer blocks is not installed."),
        sources("InstallApplication", "applications[]", "apps.json"),
    ),
    Key(
        "apps.allowed", APPS, INTERSECTION, None, {"nb": "Bare disse appene", "en": "Only these apps"},
        told("Når listen finnes, vises og åpnes bare disse appene. Flere lag: bare det alle tillater.", "Where there is a list, only these apps are shown and open. Several layers: only what all of them allow."),
        sources("allowListedAppBundleIDs", "applications[] showIcon, com.hmdm.launcher locked_packages", "apps.json"),
    ),
    Key(
        "apps.blocked", APPS, UNION, None, {"nb": "Blokkerte apper", "en": "Blocked apps"},
        told("Kan ikke åpnes. Blokkering vinner over påkrevd og tillatt.", "Cannot be opened. Blocking wins over required and allowed."),
        sources("blockedAppBundleIDs", "com.hmdm.launcher locked_packages", "apps.json"),
    ),
    allowed("apps.installation_allowed", "Installere apper selv", "Install apps oneself",
            told("Om eleven kan hente apper fra en appbutikk.", "Whether pupils can get apps from an app store."), "allowAppInstallation", "no_install_apps", native=True),
    allowed("apps.removal_allowed", "Slette apper", "Remove apps", told("Om eleven kan slette apper.", "Whether pupils can delete apps."), "allowAppRemoval",
            "no_uninstall_apps", native=True),
    allowed("apps.purchases_allowed", "Kjøp i apper", "In-app purchases", told("Om apper kan selge noe.", "Whether apps can sell things."), "allowInAppPurchases"),
    allowed("apps.clips_allowed", "Appklipp", "App clips", told("Små deler av apper som åpnes fra en kode eller nettside.", "Small parts of apps that open from a code or web page."),
            "allowAppClips"),
    Key(
        "apps.age_rating", Choice(_RATINGS), last_of(_RATINGS), None, {"nb": "Høyeste aldersgrense for apper", "en": "Highest app age rating"},
        told("Apper med høyere aldersgrense skjules. Det strengeste laget gjelder.", "Apps with a higher age rating are hidden. The strictest layer counts."), sources("ratingApps", None, None),
    ),
    allowed("apps.unknown_sources_allowed", "Apper fra ukjente kilder", "Apps from unknown sources",
            told("Om apper kan installeres utenom butikken.", "Whether apps can be installed from outside the store."), "allowEnterpriseAppTrust", "no_install_unknown_sources"),
    Key(
        "apps.update_window", Record({"from": TIME, "until": TIME}, ("from", "until")), NEAREST, None,
        {"nb": "Når apper oppdateres", "en": "When apps are updated"},
        told("Klokkeslett på nettbrettet; utenfor vinduet oppdateres ingenting.", "Times of day on the tablet; outside them nothing is updated."), sources(None, "appUpdateFrom/To", "apps.json"),
    ),
    Key(
        "web.allowed", HOSTS, INTERSECTION, None, {"nb": "Bare disse nettstedene", "en": "Only these websites"},
        told("Når listen finnes, er alt annet stengt. Flere lag: bare det alle tillater.", "Where there is a list, everything else is closed. Several layers: only what all of them allow."),
        sources("com.apple.webcontent-filter AllowListBookmarks", "Chrome URLAllowlist", "web.json"),
    ),
    Key(
        "web.blocked", HOSTS, UNION, None, {"nb": "Stengte nettsteder", "en": "Blocked websites"},
        told("Stengt for alle under laget som sier det. Blokkering vinner over tillatt.", "Closed for everyone below the layer that says so. Blocking wins over allowed."),
        sources("com.apple.webcontent-filter DenyListURLs", "Chrome URLBlocklist", "web.json"),
    ),
    Key(
        "web.adult_filter", FLAG, ON_WINS, False, {"nb": "Filter for voksent innhold", "en": "Adult content filter"},
        told("Slår på nettbrettets eget filter.", "Turns on the tablet's own filter."),
        sources("com.apple.webcontent-filter AutoFilterEnabled", "Chrome SafeSitesFilterBehavior", None),
    ),
    Key(
        "web.safe_search", FLAG, ON_WINS, False, {"nb": "Trygt søk", "en": "Safe search"},
        told("Søkemotorer viser ikke støtende treff.", "Search engines do not show offensive results."), sources(None, "Chrome ForceGoogleSafeSearch", "web.json"),
    ),
    allowed("web.private_browsing_allowed", "Privat nettlesing", "Private browsing",
            told("Om nettleseren kan brukes uten historikk.", "Whether the browser can be used without history."), None, "Chrome IncognitoModeAvailability", native=True),
    allowed("web.autofill_allowed", "Autofyll av passord", "Password autofill", told("Om passord fylles ut av seg selv.", "Whether passwords are filled in by themselves."),
            "allowPasswordAutoFill", "Chrome PasswordManagerEnabled"),
    allowed("web.popups_allowed", "Sprettoppvinduer", "Pop-ups", told("Om nettsider kan åpne nye vinduer.", "Whether web pages can open new windows."),
            "safariAllowPopups", "Chrome DefaultPopupsSetting", native=True),
    Key(
        "web.cookies", Choice(_COOKIES), last_of(_COOKIES), None, {"nb": "Informasjonskapsler", "en": "Cookies"},
        told("Hvilke nettsteder som kan lagre informasjonskapsler.", "Which websites can store cookies."), sources("safariAcceptCookies", "Chrome BlockThirdPartyCookies, DefaultCookiesSetting", None),
    ),
    Key(
        "web.bookmarks", Records(_WEB_CLIP, "title"), ByName("title"), None, {"nb": "Snarveier til nettsider", "en": "Web shortcuts"},
        told("Legges på hjemskjermen. Alle lags snarveier; av to med samme navn den nærmeste.", "Put on the home screen. The shortcuts of all layers; of two with the same name, the nearest."),
        sources("com.apple.webClip.managed", "applications[] type web", "web.json"),
    ),
    Key(
        "wifi.networks", Records(_WIFI, "ssid"), ByName("ssid"), None, {"nb": "Trådløse nett", "en": "Wi-Fi networks"},
        told("Nett som nettbrettet kjenner. Alle lags nett; av to med samme navn det nærmeste.", "Networks that the tablet knows. The networks of all layers; of two with the same name, the nearest."),
        sources("com.apple.wifi.managed", "PROVISIONING_WIFI_SSID", "wifi.json"), secret=True,
    ),
    Key(
        "wifi.only_known", FLAG, ON_WINS, False, {"nb": "Bare kjente nett", "en": "Known networks only"},
        told("Nettbrettet kobler seg ikke til andre nett enn dem profilen gir.", "The tablet does not join other networks than those its profile gives."),
        sources("forceWiFiToAllowedNetworksOnly", "no_config_wifi", "wifi.json"),
    ),
    Key(
        "proxy.server", Text(255, words="host:port"), FARTHEST, None, {"nb": "Mellomtjener", "en": "Proxy"},
        told("Nettrafikk går gjennom denne. Et nettfilter som kommunen har satt, kan ikke byttes ut nærmere nettbrettet.", "Web traffic goes through this. A web filter that the municipality has set cannot be replaced nearer to the tablet."), sources("com.apple.proxy.http.global", "com.hmdm.launcher proxy", "proxy.json"),
    ),
    Key(
        "kiosk.app", APP, FARTHEST, None, {"nb": "Lås til én app", "en": "Lock to one app"},
        told("Bare denne appen kan brukes, til prøver og delte nettbrett. En lås kan ikke byttes eller åpnes nærmere nettbrettet.", "Only this app can be used, for tests and shared tablets. A lock cannot be changed or opened nearer to the tablet."),
        sources("com.apple.app.lock", "com.hmdm.launcher locked_packages", "kiosk.json"),
    ),
    Key(
        "home_screen.pages", Records(_PAGE, "page", 15), NEAREST, None, {"nb": "Hjemskjermens sider", "en": "Home screen pages"},
        told("Hvilke apper som står hvor. Nærmeste lag gjelder i sin helhet.", "Which apps stand where. The nearest layer counts as a whole."),
        sources("com.apple.homescreenlayout Pages", "applications[] screenOrder", "home_screen.json"),
    ),
    Key(
        "home_screen.dock", Items(APP, "app ids", ordered=True), NEAREST, None, {"nb": "Apper i dokken", "en": "Apps in the dock"},
        told("Raden nederst på hjemskjermen.", "The row at the bottom of the home screen."),
        sources("com.apple.homescreenlayout Dock", "applications[] bottom", "home_screen.json"),
    ),
    Key(
        "wallpaper.image", Text(64, words="an image's name"), NEAREST, None, {"nb": "Bakgrunnsbilde", "en": "Wallpaper"},
        told("Navnet på et bilde som er lastet opp til serveren.", "The name of an image that was uploaded to the server."), sources("Settings Wallpaper", "backgroundImageUrl", "wallpaper.json"),
    ),
    allowed("wallpaper.changes_allowed", "Bytte bakgrunnsbilde", "Change the wallpaper",
            told("Om eleven kan bytte bakgrunnsbilde.", "Whether pupils can change the wallpaper."), "allowWallpaperModification", "no_set_wallpaper", native=True),
    Key(
        "lock_screen.message", Text(120, words="a message"), NEAREST, None, {"nb": "Tekst på låseskjermen", "en": "Lock screen message"},
        told("Står på låseskjermen, for eksempel hvem som eier nettbrettet.", "Stands on the lock screen, such as who owns the tablet."),
        sources("com.apple.shareddeviceconfiguration LockScreenFootnote", "title, description", "lock_screen.json"),
    ),
    allowed("lock_screen.notifications_allowed", "Varsler på låseskjermen", "Notifications on the lock screen",
            told("Om varsler vises når nettbrettet er låst.", "Whether notifications show while the tablet is locked."), "allowLockScreenNotificationsView", native=True),
    Key(
        "sound.volume_max_percent", Whole("percent", 0, 100), LOWEST, None, {"nb": "Høyeste lydnivå", "en": "Highest volume"},
        told("Lydnivået settes til dette. Det laveste gjelder.", "The volume is set to this. The lowest counts."), sources(None, "manageVolume, volume", "sound.json"),
    ),
    Key(
        "sound.locked", FLAG, ON_WINS, False, {"nb": "Lås lydnivået", "en": "Lock the volume"},
        told("Eleven kan ikke endre lydnivået.", "Pupils cannot change the volume."), sources(None, "lockVolume", "sound.json"),
    ),
    Key(
        "display.auto_brightness", FLAG, NEAREST, None, {"nb": "Automatisk lysstyrke", "en": "Automatic brightness"},
        told("Skjermen følger lyset i rommet.", "The screen follows the light of the room."), sources(None, "autoBrightness", "display.json"),
    ),
    Key(
        "display.brightness_percent", Whole("percent", 5, 100), NEAREST, None, {"nb": "Lysstyrke", "en": "Brightness"},
        told("Skjermens lysstyrke når den ikke er automatisk.", "The screen's brightness where it is not automatic."), sources(None, "brightness", "display.json"),
    ),
    Key(
        "printing.printers", Records(_PRINTER, "name"), ByName("name"), None, {"nb": "Skrivere", "en": "Printers"},
        told("Skrivere som nettbrettet kjenner.", "Printers that the tablet knows."), sources("com.apple.airprint", None, "printing.json"),
    ),
    Key(
        "language.locale", Text(12, words="a language tag such as nb-NO"), NEAREST, None, {"nb": "Språk", "en": "Language"},
        told("Nettbrettets språk ved klargjøring.", "The tablet's language when it is set up."), sources("SetupAssistant Language", None, "language.json"),
    ),
    Key(
        "time_zone.name", Text(40, words="a zone such as Europe/Oslo"), NEAREST, None, {"nb": "Tidssone", "en": "Time zone"},
        told("Nettbrettets tidssone.", "The tablet's time zone."), sources("Settings TimeZone", "timeZone", "time_zone.json"),
    ),
    Key(
        "storage.keep_free_percent", Whole("percent", 1, 50), HIGHEST, 10, {"nb": "Ledig lagring", "en": "Free storage"},
        told("Nettbrett med mindre ledig lagring meldes som nesten fulle. Håndheves av serveren, ikke av nettbrettet.", "Tablets with less free storage are reported as nearly full. Enforced by the server, not by the tablet."),
        sources(REPORT, REPORT, REPORT),
    ),
)  # fmt: skip
