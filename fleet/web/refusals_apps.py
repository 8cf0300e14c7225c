"""What apps and images refuse, in words, by the field they are about; told on the page the person is on."""

from collections.abc import Callable, Mapping, Sequence

from fleet.apps.catalogue import AppError
from fleet.apps.facts import PackageError
from fleet.apps.packages import OlderPackageError, OtherSignerError
from fleet.apps.picture import ImageError
from fleet.assignments.named import AppRequiredError, ImageShownError
from fleet.errors import ConflictError, FleetError
from fleet.web.formats import number
from fleet.web.texts import translated as _


def told(error: FleetError) -> Mapping[str, str] | None:
    """Return a refusal as a form's fault, by its field; None where the page for errors is to tell it."""
    found = next((words for kind, words in _WORDS if isinstance(error, kind)), None)
    return found(error) if found is not None else None


def _of_app(error: FleetError) -> Mapping[str, str]:
    return {
        "app-id": {"app_id": _("An app's id looks like no.school.app.")},
        "name": {"name": _("Write a name of at most %(number)s characters.", number=number(120))},
        "store-id": {"store": _("Write the app's number in the App Store, or copy the address of its page there.")},
    }[error.data["reason"]]


def _required(error: FleetError) -> Mapping[str, str]:
    return {"": _("It was not removed. Required by: %(profiles)s.", profiles=", ".join(error.data["profiles"]))}


def _shown(error: FleetError) -> Mapping[str, str]:
    return {"": _("It was not removed. Shown by: %(profiles)s.", profiles=", ".join(error.data["profiles"]))}


def _conflict(error: FleetError) -> Mapping[str, str] | None:
    return {
        "app": {"app_id": _("The app is in the catalogue already.")},
        "image": {"name": _("There is an image of this name already. Replace that one, or write another name.")},
    }.get(str(error.data.get("kind")))


def _of_package(error: FleetError) -> Mapping[str, str]:
    most = error.data.get("most", 0)
    untrusted = _("This package is not one to trust: what is in it would lie outside of it, or grow without end.")
    found = {
        "size": _("The file is too large: at most %(number)s GB.", number=number(most // 2**30)),
        "many": _("The package has too many files: at most %(number)s.", number=number(most)),
        "path": untrusted,
        "bomb": untrusted,
        "encrypted": _("The package is encrypted."),
        "no-payload": _("This is no package for iPads (.ipa) or Android tablets (.apk or .xapk)."),
        "several": _("The package has more than one app."),
        "info": _("What the package says of itself cannot be read."),
        "manifest": _("What the package says of itself cannot be read."),
        "key": _("What the package says of itself is not sound: %(key)s.", key=error.data.get("key", "")),
        "platform": _("The package was made for other than iPads, such as a simulator."),
        "signature": _("Nobody has signed the package, so tablets would not install it."),
        "split": _("This is only a part of the app. Send the whole .apk, or all parts as .xapk."),
        "test-only": _("The package was made for tests only, so tablets would not install it."),
        "names": _("The package inside is another than the .xapk says."),
    }.get(error.data["reason"])
    return {"file": found or _("The file is no package, or is damaged: fetch it once more.")}


def _other_signer(error: FleetError) -> Mapping[str, str]:
    words = _(
        "The package is signed by another than the present one of “%(name)s”, so tablets that have the app would "
        "refuse it. Get it from the same maker. Or withdraw the present one and have the app removed from the tablets "
        "first.",
        name=error.data["name"],
    )
    return {"file": words}


def _older(error: FleetError) -> Mapping[str, str]:
    data = error.data
    words = _(
        "Version %(version)s (%(build)s) of “%(name)s” is older than the present %(current)s (%(current_build)s), "
        "which tablets would keep. To go back, withdraw that and have the app removed from the tablets first.",
        name=data["name"], version=data["version"], build=data["build"],
        current=data["current_version"], current_build=data["current_build"],
    )  # fmt: skip
    return {"file": words}


def _of_image(error: FleetError) -> Mapping[str, str]:
    most = error.data.get("most", 0)
    return {
        "name": {"name": _("A name has at most 64 letters from A to Z, digits, hyphens, underscores and dots.")},
        "kind": {"file": _("This is no PNG or JPEG.")},
        "damaged": {"file": _("The picture is damaged. Save it anew and try again.")},
        "bytes": {"file": _("The picture is too large: at most %(number)s MB.", number=number(most // 2**20))},
        "side": {"file": _("The picture is too large: at most %(number)s pixels wide and high.", number=number(most))},
    }[error.data["reason"]]


_WORDS: Sequence[tuple[type[FleetError], Callable[[FleetError], Mapping[str, str] | None]]] = (
    (AppError, _of_app),
    (AppRequiredError, _required),
    (ImageShownError, _shown),
    (ImageError, _of_image),
    (PackageError, _of_package),
    (OtherSignerError, _other_signer),
    (OlderPackageError, _older),
    (ConflictError, _conflict),
)
