"""What apps and images refuse, in words, by the field they are about; told on the page the person is on."""

from collections.abc import Mapping

from fleet.apps.catalogue import AppError
from fleet.apps.picture import ImageError
from fleet.assignments.named import AppRequiredError, ImageShownError
from fleet.errors import ConflictError, FleetError
from fleet.web.formats import number
from fleet.web.texts import translated as _


def told(error: FleetError) -> Mapping[str, str] | None:
    """Return a refusal as a form's fault, by its field; None where the page for errors is to tell it."""
    data = error.data
    if isinstance(error, AppError):
        return {
            "app-id": {"app_id": _("An app's id looks like no.school.app.")},
            "name": {"name": _("Write a name of at most %(number)s characters.", number=number(120))},
            "store-id": {"store": _("Write the app's number in the App Store, or copy the address of its page there.")},
        }[data["reason"]]
    if isinstance(error, AppRequiredError):
        return {"": _("It was not removed: %(profiles)s requires it.", profiles=", ".join(data["profiles"]))}
    if isinstance(error, ImageShownError):
        return {"": _("It was not removed: %(profiles)s shows it.", profiles=", ".join(data["profiles"]))}
    if isinstance(error, ImageError):
        return _of_image(error)
    if isinstance(error, ConflictError):
        return {
            "app": {"app_id": _("The app is in the catalogue already.")},
            "image": {"name": _("There is an image of this name already. Replace that one, or write another name.")},
        }.get(str(data.get("kind")))
    return None


def _of_image(error: ImageError) -> Mapping[str, str]:
    most = error.data.get("most", 0)
    return {
        "name": {"name": _("A name has at most 64 letters from A to Z, digits, hyphens, underscores and dots.")},
        "kind": {"file": _("This is no PNG or JPEG.")},
        "damaged": {"file": _("The picture is damaged. Save it anew and try again.")},
        "bytes": {"file": _("The picture is too large: at most %(number)s MB.", number=number(most // 2**20))},
        "side": {"file": _("The picture is too large: at most %(number)s pixels wide and high.", number=number(most))},
    }[error.data["reason"]]
