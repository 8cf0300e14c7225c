"""Secrets: made once, owner-only, agreed on by everyone who starts at the same time."""

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fleet import crypto


def test_a_secret_is_made_once_with_owner_only_rights(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "session.key"
    assert crypto.read_or_create(path, b"first") == b"first"
    assert crypto.read_or_create(path, b"second") == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["session.key"]


def test_many_who_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "session.key"
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda number: crypto.read_or_create(path, b"%d" % number), range(64)))
    assert found == {path.read_bytes()}


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "session.key"
    path.write_bytes(b"x")
    path.chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        crypto.read_or_create(path, b"y")


def test_codes_use_letters_that_survive_being_typed() -> None:
    code = crypto.random_code(2_000)
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{2000}", code)
    assert len(set(code)) == 32


def test_tokens_differ_and_their_stored_form_tells_nothing() -> None:
    first, second = crypto.random_token(), crypto.random_token()
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{64}", crypto.token_digest(first))
    assert crypto.token_digest(first) != crypto.token_digest(second)


def test_any_text_has_a_stored_form_even_one_that_is_no_valid_unicode() -> None:
    assert crypto.token_digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert len({crypto.token_digest(text) for text in ("", "a\ud800", "a\udfff", "a?")}) == 4
