"""What is refused of apps and images, as sentences; see :mod:`fleet.cli.refusals`."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, always, see


def _bad_app(data: Data) -> str:
    told = {
        "app-id": f"{data.get('found')!r} is no app id: it is one such as no.example.app",
        "name": "an app's name has 1 to 120 characters",
        "store-id": f"{data.get('found')!r} is no number in the App Store: give the number, or the address of the "
        "app's page there, of apps for iPads only",
    }
    return told.get(str(data.get("reason")), "this is not sound for an app")


def _none_called(noun: str, listing: str) -> Words:
    def words(data: Data) -> str:
        near = data.get("nearest")
        help_ = f"; nearest: {', '.join(near)}" if near else f": {see(listing)} lists them"
        return f"there is no {noun} {data.get('name')}{help_}"

    return words


def _bad_image(data: Data) -> str:
    most = data.get("most")
    told = {
        "name": "an image's name has 1 to 64 letters from A to Z, digits, hyphens, underscores and dots",
        "kind": "this is no PNG or JPEG",
        "bytes": f"an image may have at most {most} bytes",
        "side": f"an image may be at most {most} pixels wide and high",
    }
    return told.get(str(data.get("reason")), "this picture is damaged")


def _licence_token(data: Data) -> str:
    told = {
        "expired": "this token has run out: download a new one at Apple School Manager",
        "organisation": f"this token is of {data.get('new')}, the present one of {data.get('current')}: "
        "say --yes if that is meant",
    }
    unreadable = (
        "this is no token for Apps and Books that can be read: give the file (.vpptoken) from Apple School Manager"
    )
    return told.get(str(data.get("reason")), unreadable)


def _bad_package(data: Data) -> str:
    told = {
        "size": f"a package may have at most {data.get('most')} bytes",
        "many": f"a package has at most {data.get('most')} files",
        "path": "this zip has a file that would lie outside of it: it is no package that one can trust",
        "encrypted": "this package is encrypted",
        "bomb": "this package grows far too large as it is unpacked: it is none that one can trust",
        "no-payload": "this is no package for tablets: it has neither Payload/NAME.app/Info.plist, as iPads want it, "
        "nor AndroidManifest.xml",
        "several": "this package has more than one app",
        "info": "what the package says of itself (Info.plist) cannot be read",
        "manifest": "what the package says of itself (AndroidManifest.xml, or an .xapk's manifest.json) cannot be read",
        "key": f"what the package says of itself has no sound {data.get('key')}",
        "platform": "this package was made for another platform than iPads, such as a simulator",
        "signature": "nobody has signed this package, or who did cannot be read: tablets would not install it",
        "split": "this is a part of an app only: give the app's whole .apk, or all parts as .xapk",
        "test-only": "this package was made for tests only, tablets would not install it: have it built for release",
        "names": "the package in this .xapk is another than its manifest.json says",
    }
    none = (
        "this is no zip that can be read: a package is an .ipa file for iPads, an .apk or .xapk for Android; "
        "one that was cut off on its way has to be fetched once more"
    )
    return told.get(str(data.get("reason")), none)


def _other_signer(data: Data) -> str:
    return (
        f"another key signed this package of {data.get('name')} than the present one, so tablets that have the app "
        "would refuse it: get the package from the same maker, or withdraw the present one with "
        f"{see('apps change ID --platform android --no-package')} and have the app removed from the tablets first"
    )


def _older_package(data: Data) -> str:
    return (
        f"this is {data.get('name')} {data.get('version')} ({data.get('build')}), older than the present "
        f"{data.get('current_version')} ({data.get('current_build')}), which tablets would keep: to go back, withdraw "
        f"that with {see('apps change ID --platform android --no-package')} and have the app removed from the tablets "
        "first"
    )


def _named_by_profiles(what: str) -> Words:
    return lambda data: f"{data.get('name')} is {what} by {', '.join(data.get('profiles') or ())}: change those first"


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {
        "app": _bad_app,
        "app-package": _bad_package,
        "app-package-older": _older_package,
        "app-package-signer": _other_signer,
        "app-required": _named_by_profiles("required"),
        "image": _bad_image,
        "image-shown": _named_by_profiles("shown"),
        "licence-token": _licence_token,
    }
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "app"): _none_called("app", "apps list"),
        ("not-found", "image"): _none_called("image", "images list"),
        ("conflict", "image"): lambda data: f"there is an image {data.get('name')} already: add --replace",
        ("not-found", "app package"): lambda data: f"{data.get('name')} has no package of our own",
        ("not-found", "licence-token"): always(f"there is no token: take one with {see('apple licences-token FILE')}"),
        ("conflict", "app"): lambda data: f"{data.get('name')} is in the catalogue already: {see('apps show ID')}",
    }
)
