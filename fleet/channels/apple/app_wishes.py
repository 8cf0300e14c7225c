"""Has an iPad install the apps that it shall have, and follows how far they have come. In a transaction.

What to do is decided in :mod:`fleet.channels.apple.app_plan`. Nothing is removed here: an app that is required no
longer stays, as what a child has made in it would go with it.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fleet.apps import catalogue, licences
from fleet.apps.catalogue import Source
from fleet.channels.apple import requests
from fleet.channels.apple.app_plan import Plan, mark_of, plan
from fleet.channels.apple.contents import Settings
from fleet.channels.apple.inventory import Known
from fleet.devices.models import Platform
from fleet.mdm import commands, errands
from fleet.mdm.commands import Wanted
from fleet.mdm.errands import LICENCES
from fleet.mdm.models import Client

UrlOf = Callable[[str], str]
_LISTS_WITHIN = timedelta(days=1)


def want(client: Client, settings: Settings, *, manifest_url: UrlOf, now: datetime) -> None:
    """Queue the installation of what is lacking and can come, and drop what is not wanted any more.

    Args:
        client: whose apps.
        settings: effective settings.
        manifest_url: gives the address of a package's manifest, by the word in it.
        now: the instant.
    """
    told = Known.read(client.told)
    # What is required no longer is nobody's concern, however far it came; what a lesson blocks will be again.
    ours = {app: one for app, one in told.apps_of_ours.items() if app in (settings.get("apps.required") or ())}
    known = replace(told, apps_of_ours=ours)
    required = set(settings.get("apps.required") or ()) - set(settings.get("apps.blocked") or ())
    licensed = licences.assigned(client.device_id)
    found, sources = _plan(known, required, licensed, now) if _is_known(client, known, now) else (Plan(), {})
    kept = found.licences | _kept(licensed - found.licences, required, known)
    is_given = licences.release(client.device_id, kept, now=now)
    if licences.want(client.device_id, found.licences, now=now) or is_given:
        errands.hurry(LICENCES, now=now)
    waiting = {}
    for one in commands.open_of(client.device_id, requests.INSTALL_APP):
        asked = one.content or {}
        if found.installs.get(asked.get("app", "")) == asked.get("mark"):
            waiting[asked["app"]] = one
        else:
            commands.forgo(one, now=now)
    for app in sorted(found.installs.keys() - waiting.keys()):
        wanted = Wanted(requests.INSTALL_APP, _content(sources[app], manifest_url), priority=commands.CALM)
        commands.queue(client.device_id, wanted, now=now)
    if found.is_under_way:
        commands.ensure(client.device_id, Wanted(requests.OUR_APPS, priority=commands.CALM), now=now)
    known = replace(known, lacking=dict(found.lacking))
    if known != told:
        client.told = known.written()


def _kept(needless: AbstractSet[int], required: AbstractSet[str], known: Known) -> AbstractSet[int]:
    """Return which licences a tablet keeps although nothing asks for them.

    An app that is there would not open without; whether it is, the catalogue and the tablet's own list have to say.
    """
    if not known.apps:
        return needless
    here = {one["id"] for one in known.apps} | required
    app_ids = licences.app_ids(needless)
    return {number for number in needless if number not in app_ids or app_ids[number] in here}


def _is_known(client: Client, known: Known, now: datetime) -> bool:
    """Whether a client has told which apps there are, or had the time to.

    Before that, one that a child has brought along would be asked for and become ours.
    """
    has_had_time = client.reachable_at is not None and client.reachable_at <= now - _LISTS_WITHIN
    return known.has_listed or bool(known.apps) or has_had_time


def _plan(
    known: Known, required: AbstractSet[str], licensed: AbstractSet[int], now: datetime
) -> tuple[Plan, Mapping[str, Source]]:
    if not required and not known.apps_of_ours:
        return Plan(), {}
    sources = catalogue.sources(Platform.IPADOS, sorted(required))
    found = plan(
        required, sources, installed={one["id"]: one["version"] for one in known.apps}, progress=known.apps_of_ours,
        licensed=licensed, now=now,
    )  # fmt: skip
    return found, sources


def _content(source: Source, manifest_url: UrlOf) -> dict[str, Any]:
    told: dict[str, Any] = {"app": source.app_id, "mark": mark_of(source), "is_licensed": source.is_licensed}
    if source.package is not None:
        return {**told, "manifest_url": manifest_url(source.package.token)}
    return {**told, "store_id": source.store_id}
