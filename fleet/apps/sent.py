"""A package that somebody sends to a page: what the door hands to the page, in place of the file. Values only.

The file never stands in memory, nor does the page read it from the form: whoever reads the request writes it to the
folder of packages as it comes, and removes what the page did not keep.
"""

import errno
from dataclasses import dataclass

from fleet.apps.archives import MAX_BYTES
from fleet.apps.files import Draft

PATH = "/apps/_upload"  # where such forms are sent
FIELD = "file"
FORM_BYTES = 64 * 1024  # all of the form that is not the file
MOST_BYTES = MAX_BYTES + FORM_BYTES
KEY = "fleet.sent"  # by which the page finds it in what is told of a request (ASGI scope); nobody outside can set that


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def refusal_of(error: OSError) -> str:
    """Return why a file could not be written, as :class:`Sent` has it."""
    return "full" if error.errno in _FULL else "disk"


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent.

    Args:
        draft: the file; None where there is none.
        file_name: what its sender calls it.
        refusal: why nothing was taken: ``size``, ``full`` (the disk), ``busy`` (too many at once), ``slow``, ``form``
            (it is none that can be read), ``disk`` (writing failed); empty: the form is whole.
    """

    draft: Draft | None = None
    file_name: str = ""
    refusal: str = ""
