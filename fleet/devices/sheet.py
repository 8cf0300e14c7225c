"""The printed enrolment sheet: one A4 page with a large QR code, the code to type, and what to do, in Bokmål."""

import io
from datetime import datetime
from zoneinfo import ZoneInfo

import segno
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from fleet.devices import codes
from fleet.devices.models import Ticket

_INK, _GREY, _LINE = (17, 24, 39), (90, 100, 115), (200, 205, 212)
_QR_MM, _LEFT, _WIDTH = 84, 20, 170
_STEPS = (
    "Slå på nettbrettet og koble det til skolens trådløse nett.",
    "Åpne registreringen på nettbrettet og skann koden over. Uten kamera: skriv adressen og koden.",
    "Vent til nettbrettet sier at det er registrert. Det henter profil og apper selv; det tar noen minutter.",
    "Går noe galt: les meldingen på nettbrettet og vis den til skolens IT-ansvarlige.",
)


def payload(public_url: str, code: str) -> str:
    """Return what the QR code says: the code stands behind the hash sign, which browsers do not send."""
    return f"{public_url}/enrol#{codes.shown(code)}"


def _text(
    sheet: FPDF, text: str, *, size: int, style: str = "", colour: tuple[int, int, int] = _INK, gap: float = 0
) -> None:
    sheet.set_font("Helvetica", style, size)
    sheet.set_text_color(*colour)
    sheet.set_x(_LEFT)
    # The core font knows Latin-1 and a few more; a letter it lacks becomes a question mark rather than a crash.
    shown = text.encode("cp1252", "replace").decode("cp1252")
    sheet.multi_cell(_WIDTH, size * 0.48, shown, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    sheet.ln(gap)


def make(ticket: Ticket, code: str, *, public_url: str, timezone: ZoneInfo) -> bytes:
    """Return the sheet as a PDF.

    Args:
        ticket: the ticket.
        code: its code, which only its maker knows.
        public_url: the server's address.
        timezone: local time of the schools, for the expiry.
    """
    sheet = FPDF(format="A4")
    sheet.set_creation_date(ticket.created_at)
    sheet.set_margins(_LEFT, 18, _LEFT)
    sheet.set_auto_page_break(auto=False)
    sheet.add_page()
    where = ticket.school_class.title if ticket.school_class is not None else ticket.cart
    _text(sheet, "Registrer nettbrett", size=13, colour=_GREY, gap=1)
    _text(sheet, ticket.school.name, size=28, style="B", gap=1)
    if where:
        _text(sheet, where, size=20, gap=1)
    until = ticket.expires_at.astimezone(timezone)
    number = f"{ticket.max_enrolments} nettbrett" if ticket.max_enrolments > 1 else "ett nettbrett"
    _text(sheet, f"Gjelder for {number}, til {_day(until)}", size=12, colour=_GREY, gap=6)
    image = io.BytesIO()
    segno.make(payload(public_url, code), error="m").save(image, kind="png", scale=12, border=0)
    sheet.image(image, x=(210 - _QR_MM) / 2, w=_QR_MM)
    sheet.ln(8)
    _text(sheet, "Adresse", size=10, colour=_GREY, gap=0.5)
    _text(sheet, public_url, size=14, gap=3)
    _text(sheet, "Kode", size=10, colour=_GREY, gap=0.5)
    sheet.set_font("Courier", "B", 15)
    sheet.set_text_color(*_INK)
    sheet.set_x(_LEFT)
    sheet.cell(_WIDTH, 8, codes.shown(code), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    sheet.ln(4)
    sheet.set_draw_color(*_LINE)
    sheet.line(_LEFT, sheet.get_y(), _LEFT + _WIDTH, sheet.get_y())
    sheet.ln(5)
    for number_, step in enumerate(_STEPS, 1):
        _text(sheet, f"{number_}.  {step}", size=12, gap=2.2)
    sheet.set_y(278)
    _text(
        sheet,
        f"Billett {ticket.id}. Arket er en nøkkel: ikke del bilder av det, og makuler det etter bruk.",
        size=9,
        colour=_GREY,
    )
    return bytes(sheet.output())


def _day(moment: datetime) -> str:
    months = [
        "januar",
        "februar",
        "mars",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "desember",
    ]
    return f"{moment.day}. {months[moment.month - 1]} {moment.year} kl. {moment:%H.%M}"
