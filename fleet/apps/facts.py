"""What a package says of itself, whatever tablets it is for, and why one is refused. Values only."""

from dataclasses import dataclass

from fleet.errors import InvalidError

IPA, APK, XAPK = "ipa", "apk", "xapk"
MAX_NAME, MAX_VERSION = 120, 64


class PackageError(InvalidError):
    """A file that is no package tablets can install. Data: ``reason``, and what that needs.

    ``reason`` is one of: ``size`` (``most``), ``not-a-zip``, ``many`` (``most``), ``path``, ``encrypted``, ``bomb``,
    ``no-payload`` (it is for no tablets that we know), ``several``, ``info`` or ``manifest`` (what it says of itself,
    in the way of iPads or of Android, cannot be read), ``key`` (``key``: what it does not say, or not in a sound way),
    ``platform``, ``signature`` (nobody signed it), ``split`` (a part of an app), ``test-only``, ``names`` (the
    package inside is another than is said outside).
    """

    code = "app-package"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a package says.

    Args:
        app_id: its bundle id or package name.
        name: as people see it under its sign.
        version: as people know it.
        build: which build of that it is; of Android's, a number that grows with each.
        minimum_os: the oldest system that it runs on; None where it does not say.
        kind: ``ipa``, ``apk`` or ``xapk``.
        cpu: the one kind of processor that it is for, as Android names it; empty: any.
        certificate: SHA-256 of its signer's certificate, lower-case hex; None where we do not read it.
        icon: its sign, PNG or WebP; None where it has none that we can show.
        cpus: all kinds of processor that it has code for; empty where it has none that depends on them.
    """

    app_id: str
    name: str
    version: str
    build: str
    minimum_os: str | None
    kind: str = IPA
    cpu: str = ""
    certificate: str | None = None
    icon: bytes | None = None
    cpus: frozenset[str] = frozenset()


def one_line(found: object, key: str, longest: int) -> str:
    """Return a text on one line.

    Raises:
        PackageError: it is something else, or longer than that.
    """
    if not isinstance(found, str):
        raise PackageError(reason="key", key=key)
    text = " ".join(found.split())
    if len(text) > longest or not text.isprintable():
        raise PackageError(reason="key", key=key)
    return text
