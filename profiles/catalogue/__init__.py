"""Ready-made school profiles, to start from. They are TOML files beside this module, with comments in Bokmål."""

from importlib import resources

from profiles.profile import Profile, parse


def load() -> list[Profile]:
    """Return the ready-made profiles, by name.

    Raises:
        ProfileError: one of the files is not a profile.
    """
    files = (entry for entry in resources.files(__name__).iterdir() if entry.name.endswith(".toml"))
    return sorted((parse(entry.read_text(encoding="utf-8")) for entry in files), key=lambda profile: profile.name)
