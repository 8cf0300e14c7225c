"""What a school calendar's entry means, by its words: a day off, a day of school, or only news. Pure.

A calendar that a municipality publishes has all three side by side: «Høstferie» closes the schools, «Første skoledag»
does not. What is judged here is a proposal, which a person sees and may change before anything is taken. Words that
are not known are news: a day of school that is taken for one off would hide tablets that are gone.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


class Meaning(enum.StrEnum):
    """What an entry does to its dates."""

    DAY_OFF = "day-off"
    SCHOOL_DAY = "school-day"
    NEWS = "news"  # nothing


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an entry seems to mean, and whether its words are known."""

    meaning: Meaning
    is_known: bool = True


_WORD = re.compile(r"[^\W_]+")
_NEGATED = frozenset({"ikke", "ikkje", "ingen", "not", "no"})
_PARTLY = frozenset({"kl", "etter", "før", "after", "before", "halv", "halvdag", "kortdag"})
_EDGES = frozenset({"første", "fyrste", "siste", "first", "last"})
_EDGED = ("skoledag", "skuledag", "dag", "day", "school")
_NEWS = re.compile(
    r"(skole|skule)(start|slutt)\w*|oppstart\w*|start(er|ar)?|slutt(er|ar)?|begynner|byrjar"
    r"|foreldremøte\w*|avslut(ning|tning|ting)\w*|prøve|tentamen|eksamen\w*"
)
_OTHERS = re.compile(r"sfo|aks|barnehage\w*|barnehagar|kulturskole\w*|kulturskule\w*|fritidsordning\w*")
_SCHOOL = re.compile(r"skol\w*|skul\w*|elev\w*|grunnskol\w*|grunnskul\w*|pupils?|schools?")
_OFF = re.compile(
    r"\w*ferie(n|dag|dagen|dager|dagar|dagene|dagane|r|uke|veke)?"
    r"|planl(egging|eggings|eggnings)?(dag|dagen|dager|dagar)?|kursdag(er|ar)?"
    r"|fri|fridag(en|er|ar)?|(elev|skole|skule|undervisnings)fri(tt|e)?|inneklemt|inneklemte|avspasering"
    r"|(hellig|heilag|høytids|høgtids)dag(en|er|ar)?|skjærtorsdag|langfredag|himmelfartsdag|kristihimmelfartsdag"
    r"|grunnlovsdag(en)?|nyttårsdag|(jul|nyttårs|påske|pinse)aften|(jule|påske|pinse)dag|romjul(a|en)?|påske|påska"
    r"|holidays?|vacation|closed|stengt"
)
_DATES = (("1", "mai"), ("17", "mai"), ("planning", "day"))
_DAY_OF_SCHOOL = re.compile(r"(skole|skule)dag(er|ar)?|innarbeiding\w*")


def judge(title: str) -> Judgement:
    """Return what an entry of this title seems to mean."""
    words = _WORD.findall(title.casefold())
    if _is_news(words):
        return Judgement(Meaning.NEWS)
    if (_NEGATED | _PARTLY).intersection(words):
        return Judgement(Meaning.NEWS, is_known=False)
    if _any(_OFF, words) or set(pairwise(words)).intersection(_DATES):
        return Judgement(Meaning.DAY_OFF)
    if _any(_DAY_OF_SCHOOL, words):
        return Judgement(Meaning.SCHOOL_DAY)
    return Judgement(Meaning.NEWS, is_known=False)


def _any(form: re.Pattern[str], words: Sequence[str]) -> bool:
    return any(form.fullmatch(word) for word in words)


def _is_news(words: Sequence[str]) -> bool:
    # The first day of school is one; when the after-school programme is shut, the school is not.
    is_edge = bool(_EDGES.intersection(words)) and any(word.startswith(_EDGED) for word in words)
    return is_edge or _any(_NEWS, words) or (_any(_OTHERS, words) and not _any(_SCHOOL, words))
