"""How far apps of ours have come on a tablet, by what it answers and reports. Pure.

Every function returns what is known afterwards, of all apps that were asked for, by id.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from fleet.channels.apple import answers
from fleet.channels.apple.answers import AppState
from fleet.channels.apple.app_plan import Progress

Apps = Mapping[str, Progress]


def asked(apps: Apps, content: Mapping[str, Any], answer: Mapping[str, Any], at: datetime) -> Apps:
    """An installation was asked for, and the iPad answered.

    Args:
        apps: before.
        content: what the command said.
        answer: the iPad's.
        at: when.
    """
    state, reason = answers.read_install(answer)
    return {**apps, content["app"]: _begun(apps, content, at).turned(state, at, reason)}


def refused(apps: Apps, content: Mapping[str, Any], reason: str | None, at: datetime) -> Apps:
    """An installation was asked for, and the iPad refused the command."""
    return {**apps, content["app"]: _begun(apps, content, at).turned(AppState.FAILED, at, reason)}


def _begun(apps: Apps, content: Mapping[str, Any], at: datetime) -> Progress:
    before = apps.get(content["app"])
    tries = before.tries if before is not None and before.mark == content["mark"] else 0
    return Progress(content["mark"], AppState.COMING, at, tries)


def told(apps: Apps, states: Mapping[str, AppState], at: datetime) -> Apps:
    """The iPad told how apps of ours stand."""
    return {app: one.turned(states[app], at) if app in states else one for app, one in apps.items()}


def listed(apps: Apps, installed: Collection[str], at: datetime) -> Apps:
    """The iPad told which apps there are: what is there has come, what is not any more was removed."""
    states = {}
    for app, one in apps.items():
        is_update = one.state is AppState.COMING and one.mark.startswith("package:")
        if app in installed and not is_update:
            states[app] = AppState.INSTALLED
        elif app not in installed and one.state is AppState.INSTALLED:
            states[app] = AppState.REMOVED
    return told(apps, states, at)
