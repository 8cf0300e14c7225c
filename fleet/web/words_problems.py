"""What is wrong with an imported file, in words: where, what stands there, and what to do about it.

Total over the faults that rosters and delivery lists have; one that is not known is told with its code.
"""

from collections.abc import Mapping

from fleet.errors import Problem
from fleet.web.texts import translated as _


def problem(one: Problem) -> str:
    """Say what is wrong with a file, where, and what to do about it."""
    where = [one.file] if one.file.endswith(".csv") else []
    if one.line is not None:
        where.append(_("line %(line)s", line=one.line))
    told = _problem(one)
    return f"{', '.join(where)}: {told}" if where else told


def _problem(one: Problem) -> str:
    for table in _tables(one):
        if one.code in table:
            return table[one.code]
    return _("“%(column)s” cannot be read (%(code)s).", column=one.column or one.file, code=one.code)


def _tables(one: Problem) -> tuple[Mapping[str, str], ...]:
    words = {
        "column": one.column or "", "found": one.found or "", "other": one.other or "", "file": one.file,
        "expected": one.expected,
    }  # fmt: skip
    return _of_packages(words), _of_tables(one, words), _of_rosters(one, words), _of_tablets(words)


def _of_packages(words: Mapping[str, str]) -> Mapping[str, str]:
    """Word what is wrong with a file as a whole."""
    again = _("Export the package anew and send it as it is.")
    return {
        "not-a-zip": _("The file is no zip package. Send the whole package as it was exported."),
        "damaged-zip": _("The zip package is damaged.") + " " + again,
        "empty-file": _("%(file)s has no content.", **words) + " " + again,
        "not-a-file": _("%(file)s is no ordinary file. Send a zip package of CSV files.", **words),
        "no-tables": _("There are no CSV files in the package, or they lie in a folder inside. Put them at the top."),
        "too-large": _("%(file)s is too large.", **words),
        "too-many-rows": _("The files have more lines than a municipality's roster can have. Check the export."),
        "too-many-files": _("The package has too many files. Only the CSV files of the roster belong there."),
        "duplicate-file": _("%(found)s is twice in the package. Take one of them out.", **words),
        "path-in-zip": _("%(found)s lies in a folder or is hidden. Put the CSV files at the top of the zip.", **words),
        "link-in-zip": _("%(found)s is a link and no file. Pack the file itself.", **words),
        "encrypted": _("The package has a password. Pack it without one."),
        "unknown-compression": _("%(found)s is packed in a way that we cannot read. Make an ordinary zip.", **words),
        "zip-bomb": _("%(file)s grows far too large when it is unpacked.", **words) + " " + again,
        "missing-file": _("The package lacks %(other)s. Export it once again with that file.", **words),
        "unknown-format": _("This is neither a OneRoster package nor one for Apple School Manager."),
        "delta-package": _("The package has changes only. Export a complete one (bulk)."),
    }


def _of_tables(one: Problem, words: Mapping[str, str]) -> Mapping[str, str]:
    """Word what is wrong with a table, whatever it is about."""
    names = one.expected.rpartition("called ")[2] if "called " in one.expected else one.column or ""
    missing = _("The column “%(column)s” is missing. Call it so: %(names)s.", names=names, **words)
    if one.found:
        missing += " " + _("Is it “%(found)s”?", **words)
    return {
        "missing-column": missing,
        "misspelt-column": _("The column “%(found)s” must be called “%(column)s”.", **words),
        "duplicate-column": _("The column “%(column)s” stands there twice.", **words),
        "not-utf8": _("The file is not UTF-8. Save it as CSV UTF-8."),
        "nul": _("There is a sign in the file that no text has (NUL). Export it anew."),
        "bad-csv": _("A quotation mark is opened and not closed. Close it, or take it out."),
        "no-header": _("The first line must name the columns."),
        "ragged-row": _("The line has another number of columns than the heading."),
        "wrong-delimiter": _("The columns are not parted by commas."),
        "too-long": _("“%(column)s” is too long.", **words),
        "control-character": _("“%(column)s” has signs that cannot be shown. Write it anew.", **words),
        "empty": _("“%(column)s” is empty. Fill it in.", **words)
        if one.column
        else _("The file has no lines below its heading."),
        "bad-date": _("“%(found)s” is no date. It looks like 2026-10-05.", **words),
    }


def _of_rosters(one: Problem, words: Mapping[str, str]) -> Mapping[str, str]:
    """Word what is wrong with a line of a roster."""
    kinds = {"classes": _("Write homeroom or scheduled.")}
    of_file = one.file.lower().removesuffix(".csv")
    hint = kinds.get(of_file, _("Write school, department or district."))
    return {
        "dangling-reference": _dangling(one, words),
        "duplicate-id": _("The id “%(found)s” stands on line %(other)s too. Give each line its own.", **words),
        "unknown-type": _("“%(found)s” in “%(column)s” is a type that we do not know.", **words) + " " + hint,
        "unknown-role": _(
            "“%(found)s” is a role that we do not know. For a pupil write student, for a teacher teacher.", **words
        ),
        "no-role": _("The person “%(found)s” has no line in roles.csv. Add one, or take the person out.", **words),
        "ends-before-start": _("“%(column)s” is %(found)s, which is before “%(other)s”. Put the dates right.", **words),
    }


def _dangling(one: Problem, words: Mapping[str, str]) -> str:
    thing = {
        "orgs.csv": _("the school"), "locations.csv": _("the school"), "classes.csv": _("the class"),
        "users.csv": _("the person"), "students.csv": _("the pupil"), "staff.csv": _("the teacher"),
        "academicSessions.csv": _("the school year"), "courses.csv": _("the course"),
    }.get(one.other or "", "")  # fmt: skip
    if one.about:
        points = _(
            "The class %(about)s points at %(thing)s “%(found)s”, which is not in %(other)s.",
            about=one.about, thing=thing, **words,
        )  # fmt: skip
    else:
        points = _("The line points at %(thing)s “%(found)s”, which is not in %(other)s.", thing=thing, **words)
    return points + " " + _("Add it there, or put “%(column)s” right.", **words)


def _of_tablets(words: Mapping[str, str]) -> Mapping[str, str]:
    """Word what is wrong with a line of a delivery list."""
    return {
        "rounded-serial": _(
            "The spreadsheet has rounded the serial to %(found)s. Format the column as text and fill it in anew.",
            **words,
        ),
        "bad-serial": _("“%(found)s” is no serial: letters, digits and . _ / -, at least two.", **words),
        "duplicate-serial": _("The serial %(found)s stands there twice.", **words),
        "retired": _("%(found)s is out of use. Take it into use again first, or remove the line.", **words),
        "unknown-platform": _("“%(found)s” is no system: write iPadOS, Android or Linux.", **words),
        "unknown-school": _("There is no school called “%(found)s”.", **words),
        "ambiguous-school": _("Several schools are called “%(found)s”. Write the school's id.", **words),
        "unknown-class": _("The school has no class called “%(found)s”.", **words),
        "ambiguous-class": _("Several classes of the school are called “%(found)s”.", **words),
        "unknown-pupil": _("No pupil has this user name or id. Import the roster first."),
        "ambiguous-pupil": _("Several pupils have this user name. Write the id from the roster."),
        "foreign-pupil": _("The pupil goes to another school than the line says."),
    }
