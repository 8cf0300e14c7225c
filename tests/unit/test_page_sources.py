"""What stands in templates, style sheets and the pages' code: no words outside the catalogues, no sheet that breaks."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages import pofile
from jinja2 import Environment, nodes

from fleet.web import catalogue
from fleet.web.languages import NAMES

WEB = Path(catalogue.__file__).parent
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
SHEETS = sorted((WEB / "static" / "styles").glob("*.css"))
SOURCES = sorted(WEB.glob("*.py"))

_LETTER = re.compile(r"[^\W\d_]")
_GAP = "\0"  # where an expression stands
_WORD = re.compile(r"[^\W\d_][\w./-]*")
_SPOKEN = {"aria-label", "aria-description", "aria-roledescription", "placeholder", "title", "alt", "content", "label"}
_INSIDE_A_TAG = {"width"}  # a block for the value of an attribute
_NOT_SPOKEN_IN = {"code", "script", "style", "kbd"}  # commands, keys and settings are the same in every language
_TRANSLATING = {"_", "gettext", "ngettext", "pgettext", "npgettext"}
_SENTENCE = re.compile(r"[A-ZÆØÅ][a-zæøå]+([ ,.:!?]|$)")
# Names of file formats, of the makers' systems, and what browsers want to be told.
ALLOWED = {"CSV", "TOML", "QR", "PDF", "A4", "iPadOS", "Android", "Linux", "GB", "Wi-Fi", "IMEI", "nrk.no/skole"}
_META = re.compile(r"^(width=|light|dark|[{]|\0)")


class Spoken(HTMLParser):
    """Collects the words that a template says by itself."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in _NOT_SPOKEN_IN
        for name, value in attrs:
            is_button = tag == "input" and name == "value" and dict(attrs).get("type") in {"submit", "button", "reset"}
            if value and (name in _SPOKEN or is_button) and not (name == "content" and _META.match(value)):
                self.found.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _NOT_SPOKEN_IN

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.found.append(data)


def plain(source: str) -> str:
    """Return a template's markup with a gap for each expression; what an expression says by itself is kept."""
    parts: list[str] = []

    def output(node: nodes.Node) -> None:
        for child in node.iter_child_nodes():
            if isinstance(child, nodes.Output):
                parts.extend(
                    one.data if isinstance(one, nodes.TemplateData) else "".join(own_words(one)) or _GAP
                    for one in child.nodes
                )
            elif isinstance(child, nodes.Macro) and _is_inside_a_tag(child):
                parts.append("<i")
                output(child)
                parts.append(">")
            elif not (isinstance(child, nodes.Block) and child.name in _INSIDE_A_TAG):
                output(child)

    tree = Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(source)
    output(tree)
    # An element whose name an expression chooses is an element; which one matters to nobody here.
    return re.sub(f"(</?)h?({_GAP}h?[1-6]{_GAP})+", r"\1i", "".join(parts))


def _is_inside_a_tag(macro: nodes.Macro) -> bool:
    """Whether a macro makes attributes, and no elements."""
    data = "".join(one.data for one in macro.find_all(nodes.TemplateData))
    return "<" not in data and '="' in data


def own_words(expression: nodes.Node) -> Iterator[str]:
    """Give the texts that an expression may come to without asking a catalogue, with gaps around them."""
    if isinstance(expression, nodes.Const) and isinstance(expression.value, str):
        yield f"{_GAP}{expression.value}{_GAP}"
    elif isinstance(expression, nodes.CondExpr):
        yield from own_words(expression.expr1)
        if expression.expr2 is not None:
            yield from own_words(expression.expr2)
    elif isinstance(expression, nodes.Concat | nodes.Or | nodes.And | nodes.Add):
        for child in expression.iter_child_nodes():
            yield from own_words(child)


def given_words(node: nodes.Node) -> Iterator[str]:
    """Give the texts that look like sentences and are handed on by a template without asking a catalogue."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Call) and isinstance(child.node, nodes.Name) and child.node.name in _TRANSLATING:
            yield from (text for argument in child.kwargs for text in given_words(argument))
        elif isinstance(child, nodes.Const) and isinstance(child.value, str) and _SENTENCE.match(child.value):
            yield child.value
        else:
            yield from given_words(child)


def foreign_words(source: str) -> list[str]:
    """Return what a template says outside the catalogues."""
    reader = Spoken()
    reader.feed(plain(source))
    reader.close()
    said = [piece.strip() for text in reader.found for piece in text.split(_GAP)]
    said = [text for text in said if set(_WORD.findall(text)) - ALLOWED]
    tree = Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(source)
    return [*said, *given_words(tree)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.name))
def test_template_says_nothing_outside_the_catalogues(path: Path) -> None:
    assert foreign_words(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Hello</p>", ["Hello"]),
        ('<p>{{ _("Hello") }} and {{ name }}</p>', ["and"]),
        ('<a title="Go">{{ x }}</a>', ["Go"]),
        ('<input placeholder="{{ y }} here">', ["here"]),
        ('<input type="submit" value="Send">', ["Send"]),
        ('<input type="hidden" value="send">', []),
        ("{{ 'yes' if x else 'no' }}", ["yes", "no"]),
        ("<p class=\"{{ 'a' if x else 'b' }}\">1 \u2013 2</p>", []),
        ("<code>scripts/run</code>", []),
        ("{% if x %}<b>Now</b>{% else %}{{ _('Then') }}{% endif %}", ["Now"]),
        ("{{ choice('theme', 'Light or dark') }}", ["Light or dark"]),
        ("{{ choice('theme', _('Light or dark'), size='sm') }}", []),
        ('<p>{{ ngettext("%(num)d day", "%(num)d days", n) }} · QR</p>', []),
    ],
)
def test_words_outside_the_catalogues_are_found(source: str, found: list[str]) -> None:
    assert foreign_words(source) == found


_TOLD = {"flash", "tell", "warn", "Told"}  # what they are given first is shown to people


def untranslated(source: str) -> Iterator[str]:
    """Give what code tells people without asking a catalogue."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in _TOLD and _is_text(node.args[0]):
                yield f"line {node.lineno}: {name}"
        elif isinstance(node, ast.Assign) and _is_fault(node.targets[0]) and _is_text(node.value):
            yield f"line {node.lineno}: a fault"


def _is_fault(target: ast.expr) -> bool:
    return isinstance(target, ast.Subscript) and getattr(target.value, "id", "") in {"faults", "problems"}


def _is_text(node: ast.expr) -> bool:
    is_constant = isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_LETTER.search(node.value))
    return is_constant or isinstance(node, ast.JoinedStr)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.name))
def test_code_tells_people_nothing_outside_the_catalogues(path: Path) -> None:
    assert list(untranslated(path.read_text())) == []


def test_what_code_tells_untranslated_is_found() -> None:
    source = (
        "flash('Done')\nnotices.tell(f'{x} done')\nfaults['name'] = 'Missing'\nflash(_('Done'))\nTold(_('Done'), GOOD)"
    )
    assert len(list(untranslated(source))) == 3


@pytest.mark.parametrize("language", NAMES)
def test_catalogue_has_no_fuzzy_and_no_forgotten_text(language: str) -> None:
    with catalogue.path_of(language).open("rb") as file:
        kept = pofile.read_po(file, locale=language)
    assert [message.id for message in kept if message.id and message.fuzzy] == []
    assert not kept.obsolete


def without_words(sheet: str) -> str:
    """Return a sheet without its comments and its texts in quotation marks."""
    return re.sub(r"\"[^\"\n]*\"|'[^'\n]*'", '""', re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL))


def sheet_faults(sheet: str) -> list[str]:
    """Return where a style sheet does not hold together: browsers skip silently what they cannot read."""
    depth, found, since = 0, [], ""
    bare = without_words(sheet)
    if "/*" in bare or "*/" in bare:
        found.append("a comment that does not end")
    for number, line in enumerate(bare.splitlines(), start=1):
        for sign in line + "\n":
            if sign in "{};":
                text, since = since.strip(), ""
                depth += (sign == "{") - (sign == "}")
                if depth < 0:
                    return [*found, f"line {number}: a brace too many"]
                if sign == "{" and not text:
                    found.append(f"line {number}: a block without a selector")
                if sign in ";}" and text and ":" not in text and not text.startswith("@"):
                    found.append(f"line {number}: {text[:40]}")
            else:
                since += sign
    return [
        *found,
        *([f"{depth} blocks that do not end"] if depth else []),
        *([since.strip()[:40]] if since.strip() else []),
    ]


@pytest.mark.parametrize("path", SHEETS, ids=lambda path: str(path.name))
def test_style_sheet_holds_together(path: Path) -> None:
    sheet = path.read_text()
    assert sheet_faults(sheet) == []
    # Colours by the theme's names only: another one would be wrong in the dark. A shadow is black in both.
    # So is a code that tablets scan, on white.
    without_shadows = re.sub(r"\.qr[^{}]*\{[^{}]*\}", "", without_words(sheet).replace("rgb(0 0 0 / ", ""))
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{};]*\{)|\brgba?\(|\bhsla?\(", without_shadows) == []


@pytest.mark.parametrize(
    ("sheet", "fault"),
    [
        ("a { color: red; }", False), ("@media (x) { a { b: c } }", False), (".x::before { content: '}'; }", False),
        ("a { color: red; ", True), ("a { color: red; } }", True), ("a { color red; }", True), ("{ a: b }", True), ("/* a { }", True), ("a { b: c } d", True),
    ],
)  # fmt: skip
def test_a_sheet_that_breaks_is_found(sheet: str, fault: bool) -> None:
    assert bool(sheet_faults(sheet)) is fault
