"""Refusals of what the pages do and the command line does not (yet), as sentences: none is without words anywhere."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Words, always

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("conflict", "asset tag"): always("another tablet has this asset tag already"),
        ("invalid", "asset tag"): lambda data: f"an asset tag has {data.get('expected')}",
        ("invalid", "choice"): lambda data: f"at most {data.get('most')} tablets can be chosen at once",
        ("invalid", "pupil"): always("say which pupil"),
        ("invalid", "note"): lambda data: f"a note has {data.get('expected')}",
        ("invalid", "municipality"): lambda data: f"a municipality's name has {data.get('expected')}",
        ("invalid", "place"): always("say where the tablets shall go"),
        ("invalid", "confirmation"): lambda data: f"say how many tablets it is about: {data.get('expected')}",
        ("invalid", "session"): always("nobody is signed in here, so nobody else can be told apart"),
        ("not-found", "note"): always("the note is not there any more"),
        ("not-found", "own set"): always("the set is not there any more, or is somebody else's"),
        ("not-found", "place"): always("there is no such place, or not for you"),
        ("not-found", "action"): always("there is no such action on tablets"),
        ("not-found", "upload"): always("the file is not kept any more: send it once again"),
    }
)
