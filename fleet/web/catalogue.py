"""The texts of the pages for translators: found in templates and code, kept in one catalogue per language.

``scripts/translate`` brings the catalogues up to date after a text changed; a test proves that none is missing. The
vocabulary's titles of settings and what they do are among the texts; where the vocabulary has a language, its own text
is the translation.
"""

import io
import sys
from pathlib import Path

from babel.messages import extract, pofile
from babel.messages.catalog import Catalog

from fleet.web.languages import NAMES, TRANSLATIONS
from profiles.vocabulary import VOCABULARY

_FOLDER = Path(__file__).parent
_METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
_OPTIONS = {"templates/**.html": {"trimmed": "true", "newstyle_gettext": "true"}}
_UNKEPT = (b'"POT-', b'"PO-', b'"Last-T', b'"Language-T', b'"Project-', b'"Report-', b'"Generated-')
_SOURCE = "en"  # the language the texts are written in


def wanted() -> Catalog:
    """Return every text there is, with the places it is used in."""
    found = Catalog(project="fleet", charset="utf-8", fuzzy=False)
    texts = extract.extract_from_dir(str(_FOLDER), method_map=_METHODS, options_map=_OPTIONS)
    for file, _line, message, _comments, context in sorted(texts, key=lambda text: (text[0], text[1])):
        found.add(message, None, [(f"fleet/web/{file}", 0)], context=context)
    for key in VOCABULARY.values():
        for told in (key.title, key.help):
            found.add(told[_SOURCE], None, [("profiles/vocabulary.py", 0)])
    return found


def path_of(language: str) -> Path:
    """Return where a language's catalogue is kept."""
    return TRANSLATIONS / language / "LC_MESSAGES" / "messages.po"


def read(language: str) -> Catalog:
    """Return a language's catalogue as it is kept, an empty one where there is none."""
    path = path_of(language)
    if not path.exists():
        return Catalog(locale=language, charset="utf-8", fuzzy=False)
    with path.open("rb") as file:
        return pofile.read_po(file, locale=language)


def update(language: str) -> list[str]:
    """Bring a catalogue up to date and return the texts that wait for a translation."""
    catalogue = read(language)
    catalogue.update(wanted(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    own = {
        told[_SOURCE]: told[language]
        for key in VOCABULARY.values()
        for told in (key.title, key.help)
        if language in told
    }
    for message in catalogue:
        if not message.id:
            continue
        message.flags.discard("fuzzy")  # a text that got a plural waits for it: its form is empty, and named below
        if isinstance(message.id, str) and (told := own.get(message.id)):
            message.string = told
        elif language == _SOURCE:
            message.string = message.id
    path_of(language).parent.mkdir(parents=True, exist_ok=True)
    path_of(language).write_bytes(written(catalogue))
    return [str(message.id) for message in catalogue if message.id and not all(strings(message.string))]


def written(catalogue: Catalog) -> bytes:
    """Return a catalogue as it is kept: sorted, and without the dates and names that would change with each update."""
    catalogue.header_comment = ""
    out = io.BytesIO()
    pofile.write_po(out, catalogue, width=120, include_lineno=False, sort_output=True)
    kept = (line for line in out.getvalue().splitlines(keepends=True) if not line.startswith(_UNKEPT))
    return b"".join(kept).lstrip()


def strings(told: str | tuple[str, ...] | list[str] | None) -> list[str]:
    """Return a translation's forms, one for each number that has its own; an empty one where it is missing."""
    return list(told) if isinstance(told, tuple | list) else [told or ""]


def main() -> int:
    """Update all catalogues; returns 1 where translations are missing."""
    missing = {language: update(language) for language in NAMES}
    for language, texts in missing.items():
        for text in texts:
            sys.stderr.write(f"{language}: {text}\n")
    return 1 if any(missing.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
