"""The address that the maker tells iPads of ours when they are set up: secret, so that strangers do not find the door.

Invariant: it stays the same over restarts and in all processes, for iPads keep what they were told. Removing its file
makes a new one, which the next round with the maker's service tells.
"""

from pathlib import Path

from fleet.crypto import open_sealed, random_token, read_or_create, seal

_PURPOSE = "automated-address"


def secret(secrets_dir: Path, vault_key: bytes) -> str:
    """Return the secret part of the address, made at the first start.

    Args:
        secrets_dir: where secrets live.
        vault_key: seals it.

    Raises:
        OSError: the directory cannot be written.
        UnsealError: the vault key is another one than it was sealed with.
    """
    made = seal(vault_key, random_token().encode(), purpose=_PURPOSE)
    sealed = read_or_create(secrets_dir / "automated-address.sealed", made)
    return open_sealed(vault_key, sealed, purpose=_PURPOSE).decode()
