"""The canonical form of settings and its digest: the same bytes from every process and every Python.

Object keys sorted by code point, no insignificant white space, UTF-8, whole numbers only (no setting is a fraction, and
fractions are where canonical forms differ). Text is kept as it is: two spellings of a letter are two texts.
"""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """Return ``value`` in canonical form.

    Raises:
        TypeError: it holds something that is not text, a whole number, true, false, null, a list or a table.
    """
    _require_plain(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(value: Any) -> str:
    """Return the lower-case hex SHA-256 of the canonical form of ``value``."""
    return digest_of(canonical(value))


def digest_of(body: bytes) -> str:
    """Return the lower-case hex SHA-256 of a canonical form."""
    return hashlib.sha256(body).hexdigest()


def _require_plain(value: Any) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise TypeError("names are text")
            _require_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner)
    elif value is not None and not isinstance(value, str | int):
        raise TypeError(f"no canonical form for {type(value).__name__}")
