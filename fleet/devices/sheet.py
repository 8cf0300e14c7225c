"""What is printed of a ticket, in Bokmål: one A4 page with a large QR code, the code to type, and what to do; or cards.

Android tablets scan another code, which has a page of its own, so that nobody scans the wrong one. The cards carry the
ticket's code, each with a pupil's name, so that they can be handed out with the tablets.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import segno
from fpdf import FPDF
from fpdf.enums import Align, XPos, YPos

from fleet.devices import codes, typeface
from fleet.devices.models import Ticket
from fleet.devices.typeface import printable

_INK, _GREY, _LINE = (17, 24, 39), (90, 100, 115), (200, 205, 212)
_QR_MM, _LEFT, _WIDTH, _INDENT = 96, 20, 170, 8
_STEPS = (
    "Slå på nettbrettet og koble det til skolens trådløse nett.",
    "Åpne registreringen på nettbrettet og skann koden over. Uten kamera: skriv adressen og koden.",
    "Vent til nettbrettet sier at det er registrert. Det henter profil og apper selv; det tar noen minutter.",
    "Går noe galt: les meldingen på nettbrettet og vis den til skolens IT-ansvarlige.",
)
_ANDROID_QR_MM = 130  # its code says much, so its squares are small
_ANDROID_STEPS = (
    "Slå på nettbrettet. Det må være nytt eller tilbakestilt.",
    "Trykk seks ganger på samme sted på velkomstskjermen, til kameraet åpnes. Velg et trådløst nett om det blir spurt.",
    "Skann koden over og følg nettbrettet. Det er registrert når startskjermen med skolens apper vises.",
    "Går noe galt: les meldingen på nettbrettet og vis den til skolens IT-ansvarlige.",
)
_MONTHS = (
    "januar", "februar", "mars", "april", "mai", "juni",
    "juli", "august", "september", "oktober", "november", "desember",
)  # fmt: skip


def payload(public_url: str, code: str) -> str:
    """Return what the QR code says: the code stands behind the hash sign, which browsers do not send."""
    return f"{public_url}/enrol#{codes.shown(code)}"


def _text(
    sheet: FPDF, text: str, *, size: int, style: str = "", colour: tuple[int, int, int] = _INK, gap: float = 0,
    indent: float = 0,
) -> None:  # fmt: skip
    sheet.set_font(typeface.FAMILY, style, size)
    sheet.set_text_color(*colour)
    sheet.set_x(_LEFT + indent)
    width = _WIDTH - indent
    sheet.multi_cell(width, size * 0.48, printable(text), align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    sheet.ln(gap)


def _name_size(name: str, *, largest: int) -> int:
    """Return a size in which a school's or class's name takes two lines at most."""
    return next(size for size, most in ((largest, 44), (18, 80), (13, len(name))) if len(name) <= most)


def make(ticket: Ticket, code: str, *, public_url: str, timezone: ZoneInfo, android: str | None = None) -> bytes:
    """Return the sheet as a PDF.

    Args:
        ticket: the ticket.
        code: its code, which only its maker knows.
        public_url: the server's address.
        timezone: local time of the schools, for the expiry.
        android: what the code for Android tablets says; None: there is no page for them.
    """
    sheet = FPDF(format="A4")
    typeface.load(sheet)
    sheet.set_creation_date(ticket.created_at)
    sheet.set_margins(_LEFT, 18, _LEFT)
    sheet.set_auto_page_break(auto=False)
    _head(sheet, ticket, "Registrer nettbrett" if android is None else "Registrer nettbrett, ikke Android", timezone)
    _code(sheet, payload(public_url, code), width_mm=_QR_MM, error="m")
    _text(sheet, "Adresse", size=10, colour=_GREY, gap=0.5)
    _text(sheet, public_url, size=14, gap=3)
    _text(sheet, "Kode", size=10, colour=_GREY, gap=0.5)
    sheet.set_font("Courier", "B", 17)
    sheet.set_text_color(*_INK)
    sheet.set_x(_LEFT)
    sheet.cell(_WIDTH, 8, codes.shown(code), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    sheet.ln(4)
    sheet.set_draw_color(*_LINE)
    sheet.line(_LEFT, sheet.get_y(), _LEFT + _WIDTH, sheet.get_y())
    sheet.ln(5)
    _steps(sheet, ticket, _STEPS)
    if android is not None:
        _head(sheet, ticket, "Registrer Android-nettbrett", timezone)
        _code(sheet, android, width_mm=_ANDROID_QR_MM, error="l")
        _steps(sheet, ticket, _ANDROID_STEPS)
    return bytes(sheet.output())


def _head(sheet: FPDF, ticket: Ticket, title: str, timezone: ZoneInfo) -> None:
    """Begin a page: what is on it, where, for how many and until when."""
    sheet.add_page()
    where = ticket.school_class.title if ticket.school_class is not None else ticket.cart
    _text(sheet, title, size=13, colour=_GREY, gap=1)
    _text(sheet, ticket.school.name, size=_name_size(ticket.school.name, largest=28), style="B", gap=1)
    if where:
        _text(sheet, where, size=_name_size(where, largest=20), gap=1)
    until = ticket.expires_at.astimezone(timezone)
    number = f"{ticket.max_enrolments} nettbrett" if ticket.max_enrolments > 1 else "ett nettbrett"
    _text(sheet, f"Gjelder for {number}, til {_day(until)}", size=12, colour=_GREY, gap=6)


def _code(sheet: FPDF, said: str, *, width_mm: float, error: str) -> None:
    image = io.BytesIO()
    segno.make(said, error=error).save(image, kind="png", scale=12, border=0)
    sheet.image(image, x=(210 - width_mm) / 2, w=width_mm)
    sheet.ln(8)


def _steps(sheet: FPDF, ticket: Ticket, steps: Sequence[str]) -> None:
    """Say what to do, and at the foot of the page what the sheet is."""
    for number, step in enumerate(steps, 1):
        sheet.set_font(typeface.FAMILY, "B", 12)
        sheet.set_text_color(*_INK)
        sheet.set_x(_LEFT)
        sheet.cell(_INDENT, 12 * 0.48, f"{number}.", new_x=XPos.LMARGIN, new_y=YPos.TOP)
        _text(sheet, step, size=12, gap=2.2, indent=_INDENT)
    sheet.set_y(278)
    _text(
        sheet,
        f"Billett {ticket.id}. Arket er en nøkkel: ikke del bilder av det, og makuler det etter bruk.",
        size=9,
        colour=_GREY,
    )


_CARD_MM, _CARD_QR_MM, _CARDS_ACROSS, _CARDS_DOWN = (95.0, 68.0), 42, 2, 4


def make_cards(
    ticket: Ticket, code: str, holders: Sequence[tuple[str, str | None]], *, public_url: str, timezone: ZoneInfo
) -> bytes:
    """Return cards to cut out and hand to pupils as a PDF, eight on a page: the ticket's code with a name on each.

    Args:
        ticket: the ticket.
        code: its code, which only its maker knows.
        holders: the pupils' names, each with what the tablet is called, or None.
        public_url: the server's address.
        timezone: local time of the schools, for the expiry.
    """
    sheet = FPDF(format="A4")
    typeface.load(sheet)
    sheet.set_creation_date(ticket.created_at)
    sheet.set_margins(0, 0, 0)
    sheet.set_auto_page_break(auto=False)
    image = io.BytesIO()
    segno.make(payload(public_url, code), error="m").save(image, kind="png", scale=8, border=0)
    until = ticket.expires_at.astimezone(timezone)
    where = ticket.school_class.title if ticket.school_class is not None else ticket.cart or ""
    for number, (name, tablet) in enumerate(holders):
        place = number % (_CARDS_ACROSS * _CARDS_DOWN)
        if place == 0:
            sheet.add_page()
        left = 10 + place % _CARDS_ACROSS * _CARD_MM[0]
        top = 12 + place // _CARDS_ACROSS * _CARD_MM[1]
        _card(sheet, (left, top), image, (name, where, ticket.school.name, tablet))
        _small(sheet, (left + 5, top + 55), f"{public_url}\n{codes.shown(code)}\nGjelder til {_day(until)}")
    return bytes(sheet.output())


def _card(sheet: FPDF, corner: tuple[float, float], image: io.BytesIO, told: tuple[str, str, str, str | None]) -> None:
    name, where, school, tablet = told
    left, top = corner
    sheet.set_draw_color(*_LINE)
    sheet.rect(left, top, *_CARD_MM)
    sheet.image(image, x=left + 5, y=top + 8, w=_CARD_QR_MM)
    lines = ((name, "B", 15, _INK), (where, "B", 12, _INK), (school, "", 10, _GREY), (tablet or "", "", 10, _GREY))
    sheet.set_xy(left + _CARD_QR_MM + 9, top + 8)
    for text, style, size, colour in lines:
        if text:
            sheet.set_font(typeface.FAMILY, style, size if len(text) <= 40 else size - 4)
            sheet.set_text_color(*colour)
            sheet.set_x(left + _CARD_QR_MM + 9)
            sheet.multi_cell(40, size * 0.48, printable(text)[:90], align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            sheet.ln(1.5)


def _small(sheet: FPDF, corner: tuple[float, float], text: str) -> None:
    sheet.set_font(typeface.FAMILY, "", 7)
    sheet.set_text_color(*_GREY)
    sheet.set_xy(*corner)
    sheet.multi_cell(_CARD_MM[0] - 10, 3.4, printable(text), align=Align.L)


def _day(moment: datetime) -> str:
    return f"{moment.day}. {_MONTHS[moment.month - 1]} {moment.year} kl. {moment:%H.%M}"
