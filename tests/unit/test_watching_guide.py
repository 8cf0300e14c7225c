"""What people are handed for watching: guide, dashboard and alerts name what is exported, and all of it."""

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from fleet import metrics

DOCS = Path(__file__).parents[2] / "fleet" / "docs"
GUIDE = (DOCS / "watching.md").read_text(encoding="utf-8")
NAME = re.compile(r"\bfleet_[a-z_]+")
DECLARED = {one.name: one for one in metrics.DECLARED}
SAMPLES = frozenset(chain.from_iterable(one.samples for one in metrics.DECLARED))


def panels() -> list[dict[str, Any]]:
    told = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return [panel for panel in told["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    told = yaml.safe_load((DOCS / "prometheus-alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in told["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]] + [rule["expr"] for rule in rules()]


def test_dashboard_and_alerts_ask_for_nothing_that_is_not_exported() -> None:
    asked = set(NAME.findall(" ".join(expressions())))
    assert asked - SAMPLES == set()
    assert {name for name, one in DECLARED.items() if not asked & one.samples} == set()  # and all are looked at


def test_labels_that_are_asked_for_are_those_of_the_metric() -> None:
    owner = {sample: one for one in metrics.DECLARED for sample in one.samples}
    wrong = [
        (name, label)
        for expression in expressions()
        for name, told in re.findall(r"(fleet_[a-z_]+)\{([^}]*)\}", expression)
        for label in re.findall(r"(\w+)(?:=~|!=|=)\"", told)
        if label not in owner[name].labels
    ]
    assert wrong == []


def test_the_guide_has_every_metric_with_its_labels_and_no_other() -> None:
    rows = [row.split("|") for row in GUIDE.splitlines() if row.startswith("| `fleet_")]
    told = {name: row[2] for row in rows for name in NAME.findall(row[1])}
    assert set(told) == set(DECLARED)
    lacking = {name: one for name, labels in told.items() for one in DECLARED[name].labels if f"`{one}`" not in labels}
    assert lacking == {}


def test_every_alert_says_what_to_do_and_every_panel_what_it_shows() -> None:
    assert all({"summary", "action"} <= set(rule["annotations"]) for rule in rules())
    assert all(panel["description"] for panel in panels())


def test_names_are_as_prometheus_wants_them() -> None:
    assert all(one.what.endswith(".") for one in metrics.DECLARED)
    assert {one.kind == "counter" for name, one in DECLARED.items() if name.endswith("_total")} == {True}
    assert {name.endswith("_total") for name, one in DECLARED.items() if one.kind == "counter"} == {True}
    assert len(DECLARED) == len(metrics.DECLARED)
