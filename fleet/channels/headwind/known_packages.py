"""Apps that often stand on school tablets, by the names of their packages: what is closed by name must be named.

Android closes no app that nobody names. Where only some apps are allowed, these are closed beside those that the
catalogue and the settings name.

Source: the packages' names in the makers' stores and system images.
"""

from profiles.android import BROWSERS, CHROME, NEEDED

CAMERAS = frozenset(
    {
        "com.android.camera",
        "com.android.camera2",
        "com.google.android.GoogleCamera",
        "com.huawei.camera",
        "com.mediatek.camera",
        "com.motorola.camera3",
        "com.oneplus.camera",
        "com.oppo.camera",
        "com.sec.android.app.camera",
        "org.lineageos.aperture",
    }
)
PLAY = "com.android.vending"
STORES = frozenset(
    {
        PLAY,
        "com.amazon.venezia",
        "com.aurora.store",
        "com.huawei.appmarket",
        "com.sec.android.app.samsungapps",
        "com.xiaomi.mipicks",
        "org.fdroid.fdroid",
    }
)
SHARING = frozenset({"com.samsung.android.aware.service", "com.samsung.android.app.sharelive"})
# What pupils use every day where nobody says what may be used; shown where a tablet has it.
EVERYDAY = (
    CHROME,
    "com.sec.android.app.camera",
    "com.google.android.GoogleCamera",
    "com.android.camera2",
    "com.sec.android.gallery3d",
    "com.google.android.apps.photos",
    "com.sec.android.app.myfiles",
    "com.google.android.apps.nbu.files",
    "com.sec.android.app.popupcalculator",
    "com.google.android.calculator",
    "com.sec.android.app.clockpackage",
    "com.google.android.deskclock",
    "com.samsung.android.calendar",
    "com.google.android.calendar",
    "com.samsung.android.app.notes",
    "com.android.settings",
)
_OTHERS = frozenset(
    {
        "com.discord",
        "com.facebook.katana",
        "com.facebook.orca",
        "com.google.android.apps.bard",
        "com.google.android.apps.docs",
        "com.google.android.apps.docs.editors.docs",
        "com.google.android.apps.docs.editors.sheets",
        "com.google.android.apps.docs.editors.slides",
        "com.google.android.apps.dynamite",
        "com.google.android.apps.googleassistant",
        "com.google.android.apps.magazines",
        "com.google.android.apps.maps",
        "com.google.android.apps.tachyon",
        "com.google.android.apps.translate",
        "com.google.android.apps.youtube.kids",
        "com.google.android.apps.youtube.music",
        "com.google.android.gm",
        "com.google.android.googlequicksearchbox",
        "com.google.android.keep",
        "com.google.android.play.games",
        "com.google.android.videos",
        "com.google.android.youtube",
        "com.google.ar.lens",
        "com.instagram.android",
        "com.microsoft.copilot",
        "com.mojang.minecraftpe",
        "com.netflix.mediaclient",
        "com.openai.chatgpt",
        "com.roblox.client",
        "com.samsung.android.app.spage",
        "com.samsung.android.app.tips",
        "com.samsung.android.bixby.agent",
        "com.samsung.android.email.provider",
        "com.samsung.android.game.gamehome",
        "com.samsung.android.video",
        "com.snapchat.android",
        "com.spotify.music",
        "com.whatsapp",
        "com.zhiliaoapp.musically",
    }
)
# All of them that may be closed.
ALL = (BROWSERS | CAMERAS | STORES | SHARING | frozenset(EVERYDAY) | _OTHERS) - NEEDED
