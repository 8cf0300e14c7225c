"""``fleet devices why``: the reason for every setting of a tablet."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import click

from fleet import clock
from fleet.access import Principal
from fleet.assignments import reasons
from fleet.assignments.reasons import Why
from fleet.cli.moments import Moment, instant
from fleet.cli.output import application, json_option, show_json, text
from fleet.devices import queries
from profiles.unmet import Unmet
from profiles.unmet import Why as NotMet
from profiles.vocabulary import VOCABULARY

# In the words of the command line; pages have their own.
_UNMET: Mapping[str, str] = MappingProxyType(
    {
        NotMet.NOT_HERE: "does not apply on this kind of tablet",
        NotMet.NOT_ON_IPAD: "does not apply on iPads",
        NotMet.NO_PORT: "the proxy needs a name and a port, such as proxy.example.no:8080",
        NotMet.NO_PASSCODE: "counts only where a passcode is required",
        NotMet.TOO_MANY: "more addresses than a tablet takes well",
        NotMet.CLOCK: "the clock sets itself, so the time zone cannot be set",
        NotMet.NO_NETWORK: "a network whose name or password no network can have is left out",
        NotMet.NEWER_SYSTEM: "needs a newer system",
        NotMet.NOT_SUPERVISED: "needs a supervised iPad",
        NotMet.AT_SET_UP: "only while the tablet is set up",
        NotMet.NO_KIOSK: "the agent cannot hold an app in front; other apps that we know of are closed",
        NotMet.CHROME_ONLY: "holds in Chrome; other browsers that we know of are closed where it matters",
        NotMet.KNOWN_ONLY: "apps that we do not know of are not shown, but not closed either",
        NotMet.NEEDED: "an app that the tablet itself needs stays open",
        NotMet.NO_BROWSER: "no browser is open, so the shortcuts are left out",
        NotMet.COARSE: "the tablet knows a few steps only, and has the nearest of them",
        NotMet.WINDOW_INSTEAD: "the tablet cannot have both; the hours for updates count",
        NotMet.ON_HOME_SCREEN: "stands on the home screen, not on the lock screen",
        NotMet.NO_ZONE: "there is no time zone of that name",
        NotMet.NO_PACKAGE: "an app that nobody has uploaded comes only where the tablet has it already",
        NotMet.NOT_TOLD: "the tablet's agent does not tell this, so it cannot be judged",
    }
)


def _plain(found: Why, unmet: Mapping[str, Sequence[Unmet]]) -> list[dict[str, Any]]:
    def source(layer: str) -> dict[str, Any]:
        told = found.sources[layer]
        return {
            "lease" if told.scope == "lesson" else "assignment": told.id,
            "scope": told.scope,
            "place": told.place,
            "profile": told.profile,
            "version": told.version,
        }

    def shown(key: str, value: Any) -> Any:
        return "(hidden)" if VOCABULARY[key].secret and value is not None else value

    return [
        {
            "key": key,
            "value": shown(key, reason.value),
            "rule": reason.rule,
            "winners": [source(layer) for layer in reason.winners],
            "losers": [{**source(loser.layer), "value": shown(key, loser.value)} for loser in reason.losers],
            "removed": list(reason.removed),
            "kept": list(reason.kept),
            "channels": list(VOCABULARY[key].channels),
            "unmet": [one.reason for one in unmet.get(key, ())],
        }
        for key, reason in found.effective.reasons.items()
    ]


@click.command()
@click.argument("serial")
@click.argument("key", required=False)
@click.option("--at", type=Moment(), help="At this local time instead of now.")
@json_option
def why(serial: str, key: str | None, at: datetime | None, *, as_json: bool) -> None:
    """Explain every setting of a tablet, or one: who won, who lost, and by which rule."""
    with application(writes=False) as config:
        moment = instant(at, config.timezone) or clock.now()
        device = queries.find_device(serial, by=Principal.command_line())
        found = reasons.why(device, at=moment)
        unmet = reasons.unmet(device, found.effective.settings)  # of all settings: one may depend on others
        rows = _plain(found if key is None else reasons.why(device, at=moment, key=key), unmet)
    if as_json:
        show_json(rows)
        return
    for row in rows:
        click.echo(f"{row['key']} = {text(row['value']) or '-'}   ({row['rule']})")
        for winner in row["winners"]:
            click.echo(f"  won   {_words(winner)}")
        for loser in row["losers"]:
            click.echo(f"  lost  {_words(loser)}: {text(loser['value']) or '-'}")
        if row["removed"]:
            click.echo(f"  taken out because blocked: {text(row['removed'])}")
        if row["kept"]:
            click.echo(f"  stays open because the tablet is locked to it: {text(row['kept'])}")
        for reason in row["unmet"]:
            click.echo(f"  does not hold: {_UNMET[reason]}")


def _words(source: dict[str, Any]) -> str:
    where = source["scope"] if source["scope"] == source["place"] else f"{source['scope']} {text(source['place'])}"
    version = f" version {source['version']}" if source["version"] is not None else ""
    number = f" (#{source['assignment']})" if "assignment" in source else ""
    return f"{where}: {source['profile']}{version}{number}"
