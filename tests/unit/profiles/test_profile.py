"""Profiles as people write them: what parses, what is refused, and that the refusal helps."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import catalogue, listing
from profiles.key import Key
from profiles.kinds import Whole
from profiles.profile import MAX_BYTES, Fault, Profile, ProfileError, diff, dump_toml, parse, validate
from profiles.vocabulary import VOCABULARY
from tests.unit.profiles.strategies import settings, values

HEAD = 'name = "test"\ntitle = "Test"\n'


def faults(text: str, **how: Any) -> tuple[Fault, ...]:
    with pytest.raises(ProfileError) as refusal:
        parse(text, **how)
    return refusal.value.faults


@given(settings())
def test_what_is_written_out_reads_back_the_same(said: dict[str, Any]) -> None:
    profile = Profile("test-1", 'En "tittel" \\ ÆØÅ', said)
    again = parse(dump_toml(profile))
    assert again == profile
    assert again.digest == profile.digest
    as_json = json.dumps({"name": profile.name, "title": profile.title, "settings": said})
    assert parse(as_json, form="json") == profile


@given(st.data(), st.sampled_from(sorted(VOCABULARY)))
def test_the_stored_form_is_stable(data: st.DataObject, name: str) -> None:
    once = validate({name: data.draw(values(VOCABULARY[name].kind))})
    assert validate(once) == once


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(sorted(VOCABULARY)) | st.text(max_size=8), _JUNK, max_size=4))
def test_junk_is_taken_or_refused_but_never_crashes(said: dict[str, Any]) -> None:
    try:
        validate(said)
    except ProfileError as refusal:
        assert {fault.key for fault in refusal.faults} <= said.keys()  # noqa: PT017 (either outcome is right)


@given(st.text(max_size=200))
def test_any_text_is_a_profile_or_has_faults(text: str) -> None:
    for form in ("toml", "json"):
        try:
            parse(text, form=form)
        except ProfileError as refusal:
            assert refusal.faults  # noqa: PT017 (either outcome is right)


def test_every_fault_is_told_with_its_line_and_the_nearest_name() -> None:
    text = 'name = "Barne Skole"\n\n[camera]\nalowed = false\n[passcode]\nmin_length = 3\nmin_lenght = 4\n'
    assert [(fault.key, fault.line, fault.code, fault.nearest) for fault in faults(text)] == [
        ("name", 1, "bad-value", None),
        ("title", None, "missing", None),
        ("camera.alowed", 4, "unknown-key", "camera.allowed"),
        ("passcode.min_length", 6, "bad-value", None),
        ("passcode.min_lenght", 7, "unknown-key", "passcode.min_length"),
    ]


@pytest.mark.parametrize(
    ("text", "key", "line", "expected"),
    [
        ('[apps]\nrequired = ["ok.app", "no app"]', "apps.required", 4, "item 2: an app id"),
        ('apps.required = "no.app"', "apps.required", 3, "a list of"),
        ('"camera".allowed = 1', "camera.allowed", 3, "true or false"),
        ("[passcode]\nmin_length = true", "passcode.min_length", 4, "a whole number from 4 to 16 (characters)"),
        ("[apps]\nage_rating = '18+'", "apps.age_rating", 4, "one of 17+, 12+, 9+, 4+"),
        ('[[wifi.networks]]\nssid = "a"', "wifi.networks", 3, "item 1: security: missing"),
        ('[[wifi.networks]]\nssid="a"\nsecurity="open"\n[[wifi.networks]]\nssid="a"\nsecurity="open"', "wifi.networks", 3, "item 2: a ssid of its own"),
        ('[[wifi.networks]]\nssid="a"\nsecurity="open"\nchannel=1', "wifi.networks", 3, "channel: no such field"),
        ("[wifi]\nnetworks = [1]", "wifi.networks", 4, "item 1: a table with ssid"),
        ('[apps.update_window]\nfrom = "25:00"\nuntil = "06:00"', "apps.update_window", 3, "from: a time HH:MM"),
        ('[lock_screen]\nmessage = """\nTo\n[linjer]\n"""\n[sound]\nlocked = 1', "sound.locked", 9, "true or false"),
        ('[web]\nblocked = ["https://nrk.no"]', "web.blocked", 4, "item 1: a host"),
        ('[lock_screen]\nmessage = "a\\u0000"', "lock_screen.message", 4, "a message"),
        ("[apps]\n", "apps", 3, "a setting of the vocabulary"),
        ("[nowhere.at.all]\nx = 1", "nowhere.at.all.x", 4, "a setting of the vocabulary"),
    ],
)  # fmt: skip
def test_a_fault_names_key_line_and_what_was_expected(text: str, key: str, line: int, expected: str) -> None:
    found = next(fault for fault in faults(HEAD + text) if fault.key == key)
    assert found.line == line
    assert expected in found.expected


JSON_HEAD = '{"name": "a", "title": "A",\n"settings": {\n'


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ('"camera": {"allowed": true},\n"bluetooth": {\n"allowed": 1}}}', "bluetooth.allowed", 5),
        ('"camera.allowed": true,\n"bluetooth.allowed": 1}}', "bluetooth.allowed", 4),
        ('"wifi": {"networks": [\n{"ssid": "camera.allowed", "security": "x"}]},\n"camera": {"allowed": 1}}}', "camera.allowed", 5),
        ('"apps": {\n"required":\n["]}", "b.b"]}}}', "apps.required", 4),
        ('"camera": {"alowed": true}}}', "camera.alowed", 3),
    ],
)  # fmt: skip
def test_a_fault_of_a_json_profile_names_its_own_line(text: str, key: str, line: int) -> None:
    assert line in {fault.line for fault in faults(JSON_HEAD + text, form="json") if fault.key == key}


def test_a_fault_in_an_inline_table_names_the_tables_line() -> None:
    (fault,) = faults(HEAD + "[sound]\nlocked = true\n[camera]\nallowed = true\n[os_update]\nwindow = { from = 1, until = 2 }")  # fmt: skip
    assert (fault.key, fault.line) == ("os_update.window", 8)
    (fault,) = faults(HEAD + "bluetooth = { allowed = 1 }")
    assert (fault.key, fault.line) == ("bluetooth.allowed", 3)


def test_a_secret_is_not_repeated_in_the_fault() -> None:
    (fault,) = faults(HEAD + '[[wifi.networks]]\nssid="a"\nsecurity="x"\npassword="hemmelig"')
    assert fault.found is None
    assert "hemmelig" not in str(fault)


@pytest.mark.parametrize(
    ("text", "form", "line"),
    [
        ("name = 'a'\nname = 'b'", "toml", 2),
        ("a =", "toml", 1),
        ('{"name": 1, "name": 2}', "json", None),
        ('{"name":\n}', "json", 2),
        ("[]", "json", 1),
        ("[" * 100_000, "json", None),
    ],
)
def test_what_is_not_toml_or_json_is_a_syntax_fault(text: str, form: str, line: int | None) -> None:
    (fault,) = faults(text, form=form)
    assert (fault.code, fault.line) == ("syntax", line)


def test_a_text_that_is_too_large_is_refused_unread() -> None:
    assert faults("#" * (MAX_BYTES + 1))[0].code == "too-large"


def test_json_settings_may_be_dotted_or_nested_and_must_be_an_object() -> None:
    dotted = parse('{"name": "a", "title": "A", "settings": {"camera.allowed": false}}', form="json")
    nested = parse('{"name": "a", "title": "A", "settings": {"camera": {"allowed": false}}}', form="json")
    assert dotted == nested == Profile("a", "A", {"camera.allowed": False})
    (fault,) = faults('{"name": "a", "title": "A",\n"settings": []}', form="json")
    assert (fault.key, fault.line) == ("settings", 2)


def test_a_difference_says_what_gets_looser() -> None:
    old = {
        "camera.allowed": False,
        "passcode.min_length": 4,
        "wallpaper.image": "a",
        "apps.blocked": ["a.a"],
        "web.allowed": ["a.no"],
    }
    new = {
        "passcode.min_length": 6,
        "wallpaper.image": "b",
        "apps.blocked": ["b.b"],
        "web.allowed": ["a.no"],
        "sound.locked": True,
    }
    assert [(change.key, change.direction) for change in diff(old, new)] == [
        ("apps.blocked", "changed"),
        ("camera.allowed", "looser"),
        ("passcode.min_length", "tighter"),
        ("sound.locked", "tighter"),
        ("wallpaper.image", "changed"),
    ]
    assert diff(old, old) == []


def test_the_catalogue_is_sound_and_large_enough() -> None:
    loaded = catalogue.load()
    assert len(loaded) >= 8
    assert len({profile.name for profile in loaded}) == len(loaded)
    assert {
        "kommune-grunn",
        "barneskole",
        "ungdomsskole",
        "eksamen",
        "lesing",
        "matematikk",
        "fritime",
        "delt-vogn",
    } <= {profile.name for profile in loaded}
    assert all(profile.settings for profile in loaded)


@pytest.mark.parametrize("key", VOCABULARY.values(), ids=lambda key: key.name)
def test_every_setting_is_described_whole(key: Any) -> None:
    assert key.area in key.name
    assert key.title["nb"]
    assert key.title["en"]
    assert key.help.keys() == {"nb", "en"}
    assert all(text.endswith(".") for text in key.help.values())
    assert key.channels
    assert all(key.sources.values())
    assert key.kind.expected
    if key.default is not None:
        assert key.kind.normalise(key.default) == key.default


def test_the_vocabulary_is_large_enough() -> None:
    assert len(VOCABULARY) >= 40


@pytest.mark.parametrize("key", VOCABULARY.values(), ids=lambda key: key.name)
def test_every_setting_says_type_unit_range_rule_channels_and_source(key: Key) -> None:
    row = dict(zip(listing.COLUMNS, listing.row(key), strict=True))
    assert all(row.values())
    if isinstance(key.kind, Whole):
        assert key.kind.unit in row["what it may be"]
        assert str(key.kind.lowest) in row["what it may be"]
        assert str(key.kind.highest) in row["what it may be"]
    assert set(key.channels) <= {"apple", "headwind", "native"}
    assert all(source in row["channels and their own keys"] for source in key.sources.values())


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 50_000) + " = 1",
        "[" + ".".join(["a"] * 50_000) + "]",
        "[[" + " . ".join(['"a"'] * 30_000) + "]]",
        "a = {" + ".".join(["a"] * 50_000) + " = 1}",
        "a = " + "[" * 50_000 + "]" * 50_000,
        "a = " + "{a = " * 20_000 + "1" + "}" * 20_000,
        "a = " + "9" * 100_000,
    ],
)
def test_toml_that_would_cost_much_is_refused_at_once(text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProfileError) as refusal:
            parse(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [fault.code for fault in refusal.value.faults] == ["syntax"]
    assert peak < 30_000_000
