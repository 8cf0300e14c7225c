"""Gives jobs and commands the writer of reports, which has its words from the pages."""

from flask import Flask

from fleet.reports.writing import EXTENSION, Wish


def install(app: Flask) -> None:
    """Put the writer into the application's extensions; the pages' texts are loaded when it is first used."""

    def write(wish: Wish) -> str:
        from fleet.web import languages, report_papers  # noqa: PLC0415 (the command line starts faster without)

        if "babel" not in app.extensions:
            languages.install(app)
        return report_papers.write(
            wish.sheet, wish.format, wish.path, language=wish.language, now=wish.now, tell=wish.tell
        )

    app.extensions[EXTENSION] = write
