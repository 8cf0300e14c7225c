"""What is refused about accounts, roles and passwords, in words, with what to do."""

from fleet.errors import ConflictError, FleetError, ForbiddenError, InvalidError, NotFoundError
from fleet.people.limits import TooManyFailuresError
from fleet.people.passwords import PasswordWeakError, PasswordWrongError
from fleet.web.formats import duration
from fleet.web.texts import translated as _


def told(error: FleetError) -> str | None:
    """Return a refusal in words; None where the page for errors is to tell it."""
    if isinstance(error, ForbiddenError):
        return _("You cannot give or take what you may not do yourself.")
    if isinstance(error, ConflictError):
        return _conflict(error)
    if isinstance(error, NotFoundError):
        return _not_found(error)
    if isinstance(error, InvalidError) and error.data.get("kind") in {"account", "role"}:
        return words_of(error)
    return None


def status(error: FleetError) -> int:
    """Return the status of a page that tells a refusal."""
    if isinstance(error, ForbiddenError):
        return 403
    return 409 if isinstance(error, ConflictError | NotFoundError) else 400


def words_of(error: FleetError) -> str:
    """Say what is wrong with a password, a name or a role."""
    reason = str(error.data.get("reason"))
    if isinstance(error, TooManyFailuresError):
        return _("Too many attempts. Try again in %(time)s.", time=duration(int(error.data["retry_after_s"])))
    if isinstance(error, PasswordWrongError):
        return _("That is not your present password.")
    if isinstance(error, PasswordWeakError):
        return weak_password(error)
    if error.data.get("kind") == "role":
        return (
            _("Choose a school for this role.") if reason == "needs a school" else _("An administrator has no school.")
        )
    if reason == "name":
        return _("Write the name that others see.")
    return _("The user name can have letters, digits and . _ @ + -, at least two characters.")


def weak_password(error: PasswordWeakError) -> str:
    """Say why a password is not good enough."""
    return {
        "too-short": _("The password must have at least %(number)d characters.", number=error.data["minimum"]),
        "too-long": _("The password can have at most %(number)d characters.", number=error.data["maximum"]),
        "username": _("The password must not contain the user name."),
        "repeated": _("The password repeats the same characters. Choose another one."),
    }.get(str(error.data.get("reason")), _("The password is easy to guess. Choose another one."))


def _conflict(error: ConflictError) -> str | None:
    known = {
        "the user name is taken": _("This user name is taken. Choose another one."),
        "already granted": _("The account has this role there already."),
        "last municipal administrator": _(
            "This is the last administrator who can sign in. Make another one an administrator first."
        ),
        "already disabled": _("The account is closed already."),
        "not disabled": _("The account is open already."),
        "disabled": _("The account is closed. Open it first."),
    }
    return known.get(str(error.data.get("reason")))


def _not_found(error: NotFoundError) -> str | None:
    kind = error.data.get("kind")
    if kind == "school":
        return _("The school is not there any more. Choose another one.")
    return _("The account does not have this role any more.") if kind == "role" else None
