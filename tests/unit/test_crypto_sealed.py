"""What is sealed: opened only with its key, for its purpose, and unchanged."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.crypto import UnsealError, open_sealed, seal, vault_key

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
SECRET = b"a tablet's unlock token"
SEALED = seal(KEY, SECRET, purpose="unlock-token/1")


@given(st.binary(max_size=200), st.text(max_size=20))
def test_a_secret_comes_back_as_it_was(secret: bytes, purpose: str) -> None:
    sealed = seal(KEY, secret, purpose=purpose)
    assert open_sealed(KEY, sealed, purpose=purpose) == secret
    assert len(sealed) == len(secret) + 29


def test_the_same_secret_never_looks_the_same_twice() -> None:
    sealed = {seal(KEY, SECRET, purpose="unlock-token/1") for _ in range(50)}
    assert len(sealed) == 50
    assert all(SECRET not in one for one in sealed)


@pytest.mark.parametrize(
    ("key", "purpose"), [(OTHER, "unlock-token/1"), (KEY, "unlock-token/2"), (KEY, "unlock-token/"), (KEY, "")]
)
def test_another_key_or_another_purpose_opens_nothing(key: bytes, purpose: str) -> None:
    with pytest.raises(UnsealError):
        open_sealed(key, SEALED, purpose=purpose)


@pytest.mark.parametrize("place", range(len(SEALED)))
def test_a_single_changed_byte_anywhere_is_noticed(place: int) -> None:
    changed = SEALED[:place] + bytes((SEALED[place] ^ 1,)) + SEALED[place + 1 :]
    with pytest.raises(UnsealError):
        open_sealed(KEY, changed, purpose="unlock-token/1")


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda rest: b"\x01" + rest))
def test_bytes_that_nobody_sealed_are_refused_and_nothing_else(stray: bytes) -> None:
    with pytest.raises(UnsealError):
        open_sealed(KEY, stray, purpose="unlock-token/1")


@pytest.mark.parametrize("length", range(29))
def test_what_was_cut_short_is_refused(length: int) -> None:
    with pytest.raises(UnsealError):
        open_sealed(KEY, SEALED[:length], purpose="unlock-token/1")


def test_a_vault_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "vault.key"
    key = vault_key(path, may_create=True)
    assert len(key) == 32
    assert vault_key(path, may_create=False) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_servers_have_different_vault_keys(tmp_path: Path) -> None:
    assert vault_key(tmp_path / "a", may_create=True) != vault_key(tmp_path / "b", may_create=True)


def test_a_key_whose_place_was_named_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vault\.key is missing"):
        vault_key(tmp_path / "vault.key", may_create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33), b"00" * 32])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="exactly 32 bytes"):
        vault_key(path, may_create=True)


def test_a_vault_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(os.urandom(32))
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        vault_key(path, may_create=False)
