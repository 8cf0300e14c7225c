"""Showing a page: whole, or only its living part where the page asks for it again.

A page ``x.html`` includes ``x_live.html``; the script asks for the same address every few seconds and gets that part.
Without the script the page is simply as it was when it was loaded.
"""

from typing import Any

from flask import render_template, request

from fleet import clock
from fleet.web.signed_in import is_refresh

REFRESH_S = 5
PAGE_SIZE = 100  # rows of a list that comes in pages


def show(name: str, **values: Any) -> str:
    """Show page ``name``, or its living part.

    Args:
        name: of the template, without its ending.
        values: what the template needs; ``own_address`` and ``refresh_s`` where the living part is to be asked for
            elsewhere or more often.
    """
    template = f"{name}_live.html" if is_refresh() else f"{name}.html"
    usual = {"own_address": request.full_path.rstrip("?"), "refresh_s": REFRESH_S}
    return render_template(template, **{**usual, **values}, now=clock.now())


def page_count(rows: int) -> int:
    """Return in how many pages so many rows come; an empty list is a page too."""
    return max(1, -(-rows // PAGE_SIZE))
