"""One tablet: how it stands in words, what was found, why it has what it has, and when it was heard from."""

from typing import Any

from fleet import clock
from fleet.assignments import reasons
from fleet.assignments.reasons import Source
from fleet.checkins import queries as checkins
from fleet.compliance import queries as compliance
from fleet.devices import queries as devices
from fleet.lessons import finding
from fleet.web import signed_in, words
from fleet.web.blueprint import web
from fleet.web.pages import show
from profiles.vocabulary import VOCABULARY

_CHECK_INS_SHOWN = 10


@web.get("/tablets/<serial>")
def tablet(serial: str) -> str:
    """Show a tablet, by serial or asset tag."""
    by, now = signed_in.by(), clock.now()
    device = devices.find_device(serial, by=by)
    return show(
        "tablet",
        device=device,
        facts=device.state.facts or {},
        findings=compliance.open_findings(compliance.Filter(device_id=device.id), by=by),
        failures=device.state.failures or [],
        check_ins=checkins.latest(device, limit=_CHECK_INS_SHOWN),
        lesson=finding.of_tablet(device.id, by=by, now=now),
        settings=_settings(reasons.why(device, at=now)),
    )


def _settings(why: reasons.Why) -> list[dict[str, Any]]:
    """Return the settings with winners and losers, in words."""

    def loser(layer: str, key: str, value: Any) -> tuple[Source, str]:
        return why.sources[layer], words.setting_value(VOCABULARY[key], value)

    return [
        {
            "key": key,
            "title": words.setting(VOCABULARY[key]),
            "value": words.setting_value(VOCABULARY[key], reason.value),
            "rule": words.rule(reason.rule),
            "winners": [why.sources[layer] for layer in reason.winners],
            "losers": [loser(one.layer, key, one.value) for one in reason.losers],
            "removed": reason.removed,
        }
        for key, reason in why.effective.reasons.items()
    ]
