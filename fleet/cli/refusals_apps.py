"""What is refused of apps and images, as sentences; see :mod:`fleet.cli.refusals`."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Data, Words, see


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


def _named_by_profiles(what: str) -> Words:
    return lambda data: f"{data.get('name')} is {what} by {', '.join(data.get('profiles') or ())}: change those first"


BY_CODE: Mapping[str, Words] = MappingProxyType(
    {
        "app": _bad_app,
        "app-required": _named_by_profiles("required"),
        "image": _bad_image,
        "image-shown": _named_by_profiles("shown"),
    }
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "app"): _none_called("app", "apps list"),
        ("not-found", "image"): _none_called("image", "images list"),
        ("conflict", "image"): lambda data: f"there is an image {data.get('name')} already: add --replace",
        ("conflict", "app"): lambda data: f"{data.get('name')} is in the catalogue already: {see('apps show ID')}",
    }
)
