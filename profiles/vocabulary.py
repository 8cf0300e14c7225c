"""The vocabulary: every setting there is, by name.

Whatever parses, validates, layers, shows or enforces settings reads this table; nothing else knows names of settings.
"""

from collections.abc import Mapping
from types import MappingProxyType

from profiles import keys_content, keys_device
from profiles.key import Key

VOCABULARY: Mapping[str, Key] = MappingProxyType(
    {key.name: key for key in sorted((*keys_content.KEYS, *keys_device.KEYS), key=lambda key: key.name)}
)
