"""What a tablet shall have, turned into what is declared and the commands that lead there. In a transaction.

Invariants: it is worked out when the tablet's configuration has another version than when that was last done, and when
it is asked how it is (:meth:`Following.mend`), which makes good what was refused or has got lost; what is there already
is not asked for again.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from fleet import orders
from fleet.apps import images, picture
from fleet.assignments import bodies
from fleet.channels.apple import aims, app_wishes, declarations, losing, requests, settling, updating
from fleet.channels.apple.declarations import Carried, UpdateDeadline
from fleet.channels.apple.inventory import Known
from fleet.channels.apple.payloads import Group, payloads, profile_bytes
from fleet.channels.apple.status import Outcome, outcome
from fleet.mdm import commands, declaring
from fleet.mdm.commands import Wanted
from fleet.mdm.declaring import Desired
from fleet.mdm.models import Client
from fleet.schools import queries as schools
from profiles.digest import digest_of

_NAMELESS = "Skolens nettbrett"  # until somebody has written what the municipality is called


class Following:
    """Has clients follow what is wished of them.

    Args:
        identifier: what the names of our profiles begin with, in reverse-DNS form.
        url_of: gives the address of a file that declarations name, by its digest.
        manifest_url: gives the address of an own package's manifest, by the word in it.
    """

    def __init__(self, identifier: str, *, url_of: Callable[[str], str], manifest_url: Callable[[str], str]) -> None:
        self._profile = f"{identifier}.profile"
        self._lesson = f"{identifier}.lesson"
        self._url_of, self._manifest_url = url_of, manifest_url

    def follow(self, client: Client, now: datetime) -> None:
        """Work out anew what a client shall have, if that may have changed, and queue what leads there."""
        desired = declaring.desired(client.device_id, now=now)
        if (client.followed_version, client.followed_profile) != (desired.config_version, _profile_of(desired)):
            self._want(client, desired, now)

    def mend(self, client: Client, now: datetime) -> None:
        """Queue once more what a client should have and has not, by what it tells."""
        self._want(client, declaring.desired(client.device_id, now=now), now, again=True)

    def networks(self, client: Client) -> bytes | None:
        """Return a profile with the networks that a client has by what it shall have now; None where there are none."""
        if client.followed_profile is None:
            return None
        name = f"{self._profile}.{Group.WIFI}"
        inside = payloads(settings_of(client.followed_profile), identifier=name, groups=(Group.WIFI,))
        return profile_bytes(inside, identifier=name, title=organisation()) if inside else None

    def _want(self, client: Client, desired: Desired, now: datetime, *, again: bool = False) -> None:
        profile = _profile_of(desired)
        client.followed_version, client.followed_profile = desired.config_version, profile
        pending = orders.pending([client.device_id], now=now).get(client.device_id, [])
        update = updating.want(client, Known.read(client.told), pending, again=again, now=now)
        if desired.entries:
            self._aim(client, desired.entries, now, update=update, again=again)
        settings = settings_of(profile) if profile is not None else {}
        settling.want(client, settings, again=again, now=now)
        app_wishes.want(client, settings, manifest_url=self._manifest_url, now=now)
        losing.want(client, organisation(), now=now)
        for order in pending:
            kind = requests.OF_ORDER.get(order.kind)
            if kind is not None and not commands.carries(order.uid):
                wanted = Wanted(kind, order.payload, priority=commands.URGENT, order_uid=order.uid)
                commands.queue(client.device_id, wanted, now=now)

    def _aim(
        self,
        client: Client,
        entries: Sequence[Mapping[str, Any]],
        now: datetime,
        *,
        update: UpdateDeadline | None,
        again: bool,
    ) -> None:
        known = Known.read(client.told)
        icons = _icons(entries)
        found = aims.aim(entries, settings_of, identifier=self._lesson, title=organisation(), images=icons)
        of = declarations.declarations(
            found.declared, identifier=self._profile, organisation=organisation(), profile=found.profile,
            url_of=self._url_of, capabilities=known.status.capabilities, update=update, images=icons,
        )  # fmt: skip
        files = dict(of.profiles)
        wanted = digest_of(found.lesson) if found.lesson is not None else None
        if wanted is not None and found.lesson is not None:
            files[wanted] = found.lesson
        carried: list[dict[str, Any]] = msgspec.to_builtins(of.carried)
        declaring.keep(declaring.Set(of.token, found.profile, carried, declarations.documents(of)), files, now=now)
        # On before, off after: no moment in between is looser than both.
        if wanted is not None and (wanted != client.lesson_file or (again and wanted != known.lesson)):
            commands.drop(client.device_id, requests.REMOVE, now=now)
            told = {"file": wanted, "keys": list(found.keys)}
            commands.ensure(client.device_id, Wanted(requests.INSTALL, told), now=now)
        is_lacking = again and not self.outcome(client, known)[1].is_applied
        if declaring.tell(client, of.token, now=now) or is_lacking:
            # Named by what it tells of: one that was sent and not answered yet tells of something else.
            commands.ensure(client.device_id, Wanted(requests.DECLARE, {"token": of.token}), now=now)
        if wanted is None and client.lesson_ends_at is not None:
            commands.drop(client.device_id, requests.INSTALL, now=now)
            if client.lesson_ends_at > now:
                removal = Wanted(requests.REMOVE, {"name": self._lesson}, replaces=True)
                commands.queue(client.device_id, removal, now=now)
            else:  # it went by itself, and nobody says so
                client.told = known.without_lesson().written()
        client.lesson_file, client.lesson_ends_at = wanted, found.ends_at

    def outcome(self, client: Client, known: Known) -> tuple[str | None, Outcome]:
        """Return which profile the client has in force, None where none that we know, and what it refused of it."""
        behind = declaring.behind(client.declared_token) if client.declared_token is not None else None
        if behind is None:
            return None, Outcome(is_applied=False)
        profile, carried = behind
        found = outcome(msgspec.convert(carried, list[Carried]), known.status)
        # What was refused is judged too: the rest is in force, and what is not is told.
        is_refused = client.lesson_file is not None and known.refused_lesson == client.lesson_file
        is_whole = found.is_applied and (known.lesson == client.lesson_file or is_refused)
        return (profile if is_whole else known.applied), found


def _profile_of(desired: Desired) -> str | None:
    return str(desired.entries[0]["profile"]) if desired.entries else None


def _icons(entries: Sequence[Mapping[str, Any]]) -> Mapping[str, bytes]:
    """Return the pictures that web shortcuts show, now and next. Source: com.apple.webClip.managed, Icon: PNG."""
    clips = [clip for one in entries[:2] for clip in settings_of(one["profile"]).get("web.bookmarks") or ()]
    found = images.bodies({clip["icon"] for clip in clips if clip.get("icon")})
    return {name: body for name, body in found.items() if body.startswith(picture.PNG)}


def organisation() -> str:
    """Return whose the tablets are, as iPads show it."""
    owner = schools.municipality()
    return owner.name if owner is not None else _NAMELESS


def settings_of(profile: str) -> dict[str, Any]:
    """Return the settings of an effective profile by its digest."""
    return dict(msgspec.json.decode(bodies.load([profile])[profile]))
