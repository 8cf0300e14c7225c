"""Files for a spreadsheet: what is in them byte by byte, and that they leave as they are read."""

from collections.abc import Iterator
from datetime import date

from flask import Flask

from fleet.web import csv_export


def test_file_is_what_a_norwegian_spreadsheet_expects(app: Flask) -> None:
    with app.test_request_context():
        answer = csv_export.respond("liste.csv", ["Navn", "Antall"], [["Skøyt;eveien", 3], ["to\nlinjer", None]])
        body = answer.get_data()
    assert body == '\ufeffNavn;Antall\r\n"Skøyt;eveien";3\r\n"to\nlinjer";\r\n'.encode()
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="liste.csv"'
    assert answer.headers["Cache-Control"] == "no-store"


def test_cell_that_would_be_a_formula_is_text_and_a_number_is_not(app: Flask) -> None:
    told = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a=1", -1]
    with app.test_request_context():
        body = csv_export.respond("liste.csv", ["=navn"], [[one] for one in told]).get_data(as_text=True)
    assert body == "\ufeff'=navn\r\n'=1+1\r\n'+1\r\n'-1\r\n'@SUM(A1)\r\n'\t=1\r\n\"'\r=1\"\r\na=1\r\n-1\r\n"


def test_number_with_decimals_has_a_comma_as_it_stands_between_semicolons(app: Flask) -> None:
    with app.test_request_context():
        body = csv_export.respond("liste.csv", ["GB"], [[61.3], [7.0], [12]]).get_data(as_text=True)
    assert body == "\ufeffGB\r\n61,3\r\n7,0\r\n12\r\n"


def test_file_is_named_by_what_is_in_it_and_the_day() -> None:
    on = date(2026, 11, 29)
    assert csv_export.named("nettbrett", "8A", on=on) == "nettbrett-8A-2026-11-29.csv"
    assert csv_export.named("nettbrett", "Åsen skole", 'ø/"..', on=on) == "nettbrett-Asen-skole-o-2026-11-29.csv"
    assert csv_export.named("nettbrett", on=on) == "nettbrett-2026-11-29.csv"
    assert len(csv_export.named("nettbrett", "x" * 500, on=on)) < 100


def test_rows_are_read_while_the_file_is_sent(app: Flask) -> None:
    asked: list[int] = []

    def rows() -> Iterator[list[object]]:
        for number in range(20_000):
            asked.append(number)
            yield [number, "nettbrett"]

    with app.test_request_context():
        parts = csv_export.respond("liste.csv", ["nummer", "hva"], rows()).iter_encoded()
        next(iter(parts))
        assert 0 < len(asked) < 2_000
        rest = b"".join(parts)
    assert rest.endswith(b"19999;nettbrett\r\n")
