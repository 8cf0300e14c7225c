"""The letters of what is made as PDF: Source Sans Pro, embedded, of which a file has only those it uses.

It has the Norwegian letters and those of North, Lule and South Sámi; of what it lacks the mark is left away, or a ``?``
stands for it.
"""

import unicodedata
from functools import cache
from importlib import resources

from fontTools.ttLib import TTFont
from fpdf import FPDF

FAMILY = "Source Sans Pro"
_FILES = resources.files("font_source_sans_pro") / "files"
_STYLES = {"": "Regular", "B": "Bold"}
# What does not come apart into a letter and its mark.
_PLAIN = str.maketrans({"ǥ": "g", "Ǥ": "G", "\u2010": "-", "\u2011": "-"})


def load(pdf: FPDF) -> None:
    """Give a PDF the letters, upright and bold."""
    for style, name in _STYLES.items():
        pdf.add_font(FAMILY, style, str(_FILES / f"SourceSansPro-{name}.ttf"))


@cache
def _letters() -> frozenset[int]:
    with TTFont(str(_FILES / "SourceSansPro-Regular.ttf"), lazy=True) as font:
        return frozenset(font.getBestCmap())


def printable(text: str) -> str:
    """Return ``text`` in letters that there are: others lose their mark or become a ``?``."""
    if text.isascii():
        return text

    def plain(letter: str) -> str:
        if ord(letter) in _letters() or letter.isspace():
            return letter
        base = unicodedata.normalize("NFKD", letter)[0]
        return base if ord(base) in _letters() else "?"

    return "".join(plain(letter) for letter in unicodedata.normalize("NFC", text).translate(_PLAIN))
