"""Which apps to have an iPad install, by what it shall have, what it has, and how far each has come. Pure.

Invariants: an app that is there and that we did not put there is left as it is; what is required no longer stays where
it is, with what a child has made in it; what was refused, or came to nothing, is asked for again after a wait that
grows.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fleet.apps.catalogue import Source
from fleet.channels.apple.answers import AppState

_AGAIN = (timedelta(hours=1), timedelta(hours=4), timedelta(hours=24))
_PATIENCE = timedelta(hours=24)  # with what is on its way, or waits for somebody at the iPad
NOT_IN_CATALOGUE, NO_LICENCE = "not-in-catalogue", "no-licence"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an app of ours has come on a tablet.

    Args:
        mark: what was asked for, so that a new package is told from the old one.
        state: how it stands.
        at: since when.
        tries: how often it came to nothing, one after the other.
        reason: why it did last, in Apple's words.
    """

    mark: str
    state: AppState
    at: datetime
    tries: int = 0
    reason: str | None = None

    def turned(self, state: AppState, at: datetime, reason: str | None = None) -> "Progress":
        """Return it in another state; the same state changes nothing."""
        if state in {self.state, AppState.UNKNOWN}:
            return self
        if state is AppState.INSTALLED:
            return Progress(self.mark, state, at)
        is_vain = state in _VAIN
        return replace(self, state=state, at=at, tries=self.tries + is_vain, reason=reason if is_vain else None)


_VAIN = frozenset({AppState.REMOVED, AppState.REFUSED, AppState.FAILED})


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Args:
        installs: apps to be asked for now, and what tells this package from another.
        licences: numbers in the store of apps that need a licence assigned to the tablet.
        lacking: apps that cannot come, and why.
        is_under_way: whether some are coming, so that it is worth asking how far they are.
    """

    installs: Mapping[str, str] = field(default_factory=dict)
    licences: frozenset[int] = frozenset()
    lacking: Mapping[str, str] = field(default_factory=dict)
    is_under_way: bool = False


def mark_of(source: Source) -> str:
    """Return what tells this source from another."""
    return f"package:{source.package.digest}" if source.package is not None else f"store:{source.store_id}"


def plan(
    required: Collection[str],
    sources: Mapping[str, Source],
    *,
    installed: Mapping[str, str],
    progress: Mapping[str, Progress],
    licensed: Collection[int],
    now: datetime,
) -> Plan:
    """Return what to do.

    Args:
        required: the apps a tablet shall have, by id.
        sources: where they come from, by id.
        installed: versions of the apps that are there, by id.
        progress: of those that were asked for, by id.
        licensed: numbers in the store for which the tablet has a licence.
        now: the instant.
    """
    installs, lacking, licences = {}, {}, set()
    for app in sorted(required):
        source, known = sources.get(app), progress.get(app)
        if source is None or (source.package is None and source.store_id is None):
            if app not in installed:
                lacking[app] = NOT_IN_CATALOGUE
            continue
        needs = source.store_id if source.package is None and source.is_licensed else None
        if needs is not None and (app not in installed or known is not None):
            licences.add(needs)
        if not _is_due(source, known, installed.get(app), now):
            continue
        if needs is not None and needs not in licensed:
            lacking[app] = NO_LICENCE
        else:
            installs[app] = mark_of(source)
    coming = {AppState.COMING, AppState.WAITS}
    return Plan(installs, frozenset(licences), lacking, any(one.state in coming for one in progress.values()))


def _is_due(source: Source, known: Progress | None, version: str | None, now: datetime) -> bool:
    """Return whether an app has to be asked for now."""
    if known is None:
        return version is None or (source.package is not None and version != source.package.version)
    if known.mark != mark_of(source):
        return source.package is not None or version is None
    if known.state is AppState.INSTALLED:
        return False
    if known.state in _VAIN:
        return known.tries <= 1 or now - known.at >= _AGAIN[min(known.tries - 2, len(_AGAIN) - 1)]
    return now - known.at >= _PATIENCE
