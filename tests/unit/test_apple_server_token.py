"""The server token: read as Apple's portal writes it, and refused where it must not be used."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.mdm import server_token
from fleet.mdm.server_token import ServerTokenError
from tests.apple_messages import NOW, Shape
from tests.school_manager import CREDENTIALS, token_file

KEY, OTHER = (server_token.make_key(now=NOW) for _ in range(2))
ENDS = NOW + timedelta(days=365)


def refused(uploaded: bytes, *, now: datetime = NOW) -> str:
    with pytest.raises(ServerTokenError) as caught:
        server_token.read(uploaded, KEY, now=now)
    return str(caught.value.data["reason"])


@pytest.mark.parametrize("cipher", ["3des", "aes128", "aes256"])
@pytest.mark.parametrize("shape", [Shape(), Shape(open_ended=True), Shape(open_ended=True, piece_bytes=100)])
def test_a_token_is_read_however_it_is_encrypted(cipher: str, shape: Shape) -> None:
    found = server_token.read(token_file(KEY.pem, expires_at=ENDS, cipher=cipher, shape=shape), KEY, now=NOW)
    assert {name: getattr(found, name) for name in CREDENTIALS} == CREDENTIALS
    assert (found.expires_at, found.days_left(NOW), found.warning_step(NOW)) == (ENDS, 365, None)
    assert found.warning_step(ENDS - timedelta(days=10)) == 14


def test_a_token_that_must_not_be_used_is_refused_with_the_reason() -> None:
    assert refused(token_file(OTHER.pem, expires_at=ENDS)) == "key"
    assert refused(token_file(KEY.pem, expires_at=NOW)) == "expired"
    assert refused(token_file(KEY.pem, expires_at=ENDS, cipher="aes128")[:-400]) in {"unreadable", "key"}
    for name in CREDENTIALS:
        assert refused(token_file(KEY.pem, expires_at=ENDS, but={name: None})) == "fields"
        assert refused(token_file(KEY.pem, expires_at=ENDS, but={name: ""})) == "fields"
    assert refused(token_file(KEY.pem, expires_at=ENDS, but={"access_token_expiry": "soon"})) == "fields"
    assert refused(b"x" * 70_000) == "unreadable"
    with pytest.raises(ServerTokenError):
        server_token.read(token_file(KEY.pem, expires_at=ENDS), None, now=NOW)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_reading_ends_in_a_refusal(uploaded: bytes) -> None:
    for shown in (uploaded, b"\x30" + uploaded, b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n" + uploaded):
        assert refused(shown) in {"unreadable", "key"}


def test_no_secret_shows_when_a_token_or_key_is_printed() -> None:
    found = server_token.read(token_file(KEY.pem, expires_at=ENDS), KEY, now=NOW)
    assert not any(secret in f"{found!r} {found} {KEY!r}" for secret in CREDENTIALS.values())
