"""The guide: its examples are run, its list of settings is the vocabulary's, its catalogue the one there is."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from profiles import catalogue, listing
from profiles.layering import Layer, Level, effective
from profiles.profile import parse, validate
from profiles.vocabulary import VOCABULARY

GUIDE = Path(__file__).parents[3] / "profiles" / "README.md"
TEXT = GUIDE.read_text(encoding="utf-8")
LEVELS = {level.name.lower(): level for level in Level} | {"tablet": Level.DEVICE}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)


EXAMPLES: list[dict[str, Any]] = [told for told in map(json.loads, blocks("json")) if "layers" in told]


@pytest.mark.parametrize("told", EXAMPLES)
def test_the_guides_layers_merge_as_it_says(told: dict[str, Any]) -> None:
    layers = [Layer(LEVELS[level], level, None, validate(settings)) for level, settings in told["layers"]]
    assert effective(layers).settings == told["effective"]


def test_every_rule_of_the_vocabulary_has_an_example() -> None:
    shown = {VOCABULARY[name].rule.name for told in EXAMPLES for _, said in told["layers"] for name in said}
    used = {key.rule.name for key in VOCABULARY.values()}
    assert {name.partition(":")[0] for name in shown} == {name.partition(":")[0] for name in used}


def test_both_forms_of_a_profile_in_the_guide_are_the_same() -> None:
    (toml,) = blocks("toml")
    (as_json,) = [text for text in blocks("json") if "settings" in json.loads(text)]
    assert parse(toml) == parse(as_json, form="json")


def test_the_list_of_settings_is_current(tmp_path: Path) -> None:
    assert listing.refreshed(TEXT) == TEXT, "run python -m profiles.listing"
    copy = tmp_path / "README.md"
    shutil.copyfile(GUIDE, copy)
    copy.write_text(copy.read_text(encoding="utf-8").replace("| `camera.allowed`", "| `camera.old`"), encoding="utf-8")
    listing.main(copy)
    assert copy.read_text(encoding="utf-8") == TEXT
    assert all(f"| `{name}`" in TEXT for name in VOCABULARY)


def test_the_guide_names_the_whole_catalogue() -> None:
    section = TEXT.partition("## The catalogue")[2].partition("##")[0]
    assert set(re.findall(r"\| `([a-z-]+)` \|", section)) == {profile.name for profile in catalogue.load()}
