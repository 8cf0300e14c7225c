"""What tablets tell: of themselves, and of what they have done; taken in for many at once. In a transaction.

Rows are taken in the order agents' clients, tablets' states, orders, each by rising number.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fleet.android import serving, tokens
from fleet.android.models import AgentClient
from fleet.apps import catalogue
from fleet.apps.catalogue import AndroidPackage
from fleet.channels import reporting
from fleet.channels.headwind import confirming, messages
from fleet.channels.headwind.known import Known
from fleet.channels.headwind.messages import Info, Logged
from fleet.checkins.receive import Report

Packages = Mapping[str, Sequence[AndroidPackage]]  # of ours, by the app's id

_PUT_OFF_FOR = {messages.DOWNLOAD: timedelta(hours=1), messages.INSTALL: timedelta(days=7)}


@dataclass(frozen=True, slots=True)
class Told:
    """What a tablet tells: of itself, or a part of its log; by the SHA-256 of its token."""

    digest: str
    info: Info | None = None
    logged: Logged | None = None

    @property
    def failures(self) -> Mapping[str, str]:
        """The apps that could not be had."""
        return self.logged.failures if self.logged is not None else {}

    def only_of(self, apps: Collection[str]) -> "Told":
        """Return the same without what failed of other apps: nobody gave those, and whoever names them may name many.

        Args:
            apps: that tablets may be given.
        """
        kept = {app: why for app, why in self.failures.items() if app in apps}
        return replace(self, logged=replace(self.logged, failures=kept)) if self.logged is not None else self


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken in.

    Args:
        owners: whose the tokens are, by their SHA-256; those that nobody has are not there.
        models: which model tablets are that had not said so before.
    """

    owners: Mapping[str, int]
    models: Mapping[int, str]


def take(batch: Sequence[Told], *, now: datetime) -> Taken:
    """Take what tablets tell; a bounded number of statements, but for orders that end."""
    owners = tokens.owners({one.digest for one in batch})
    clients = serving.held(set(owners.values()))
    sequences = serving.sequences(clients)
    ours = catalogue.android_packages({app for one in batch for app in one.failures})
    told: dict[int, list[Told]] = {}
    for one in batch:
        if one.digest in owners:
            told.setdefault(owners[one.digest], []).append(one.only_of(ours))
    reports: list[Report] = []
    ended: list[tuple[int, str]] = []
    unset: list[int] = []
    models: dict[int, str] = {}
    for device_id, words in told.items():
        client, (key, last) = clients[device_id], sequences[device_id]
        for one in words:
            tokens.use(client, one.digest, now=now)
        if key is None or key != client.key_thumbprint:
            continue  # what it tells once its enrolment has ended is nobody's business
        before = Known.read(client.told)
        known = _known(client, before, words)
        client.told = known.written()
        if before.info.model is None and known.info.model is not None:
            models[device_id] = known.info.model
        _put_off(client, words, ours, now)
        if any(_says_what_is_in_force(one, client, known) for one in words):
            ended += [(device_id, uid) for uid in _in_force(client, known)]
        if any(one.logged is not None and one.logged.has_failed_reset for one in words):
            unset.append(device_id)
        reports.append(known.report(device_id, key, last + 1))
    reporting.receive("headwind", reports, now=now)
    confirming.fail_resets(unset, now=now)  # before they are over with the update
    confirming.finish(ended, now=now)
    return Taken(owners, models)


def _known(client: AgentClient, known: Known, words: Sequence[Told]) -> Known:
    """Return what is known of a tablet after what it told, in order."""
    for one in words:
        if one.info is not None:
            known = known.with_info(one.info, (*(client.hidden or ()), *(client.served_hidden or ())))
        if one.logged is not None:
            known = known.with_log(one.logged, client.served_profile)
            if one.logged.is_fetched is False:  # what it was last given never came there
                client.served_version = client.served_digest = None
    return known


def _put_off(client: AgentClient, words: Sequence[Told], ours: Packages, now: datetime) -> None:
    """Do without the apps that a tablet could not fetch or install, for a while.

    Its agent stops where a fetch fails, with its restrictions lifted; it is called again, and gets them. It remembers
    the file of an installation that failed, never fetches that again, and would stop at it each time.
    """
    failed = {app: why for one in words for app, why in one.failures.items()}
    if not failed:
        return
    put_off: dict[str, dict[str, str | None]] = {}
    for app, why in failed.items():
        package = catalogue.for_cpu(ours[app], client.cpu) if why == messages.INSTALL else None
        if package is not None and _is_newer(package, client):
            continue
        until = (now + _PUT_OFF_FOR[why]).isoformat()
        put_off[app] = {"until": until, "digest": package.digest if package is not None else None}
    client.put_off = {**(client.put_off or {}), **put_off}
    client.served_version = None  # it is looked at anew


def _is_newer(package: AndroidPackage, client: AgentClient) -> bool:
    """Whether a package has come since a tablet was last given something, so that it was another that failed."""
    came_at, served_at = package.uploaded_at, client.served_at
    return came_at is not None and served_at is not None and came_at > served_at


def _says_what_is_in_force(one: Told, client: AgentClient, known: Known) -> bool:
    """Whether a tablet tells anew that it has what it was last given, if it has it.

    Else what is known is of an update before it, and may be of the same profile.
    """
    is_done = one.logged is not None and one.logged.is_completed and known.is_fetched
    return is_done or (one.info is not None and one.info.profile == client.served_profile)


def _in_force(client: AgentClient, known: Known) -> Sequence[str]:
    """Note that what a tablet was last given is in force, where it is; return the orders that are done with it."""
    if known.applied != client.served_profile or client.served_digest is None:
        return ()
    ended, client.served_orders = client.served_orders or (), None
    if client.hidden != client.served_hidden:
        # What is not hidden any more may be given an address again: it is looked at anew.
        client.hidden, client.served_version = client.served_hidden, None
    return ended
