"""What the municipality's own rules are called; read once in a request, and only where a page has a finding of one."""

from collections.abc import Mapping

from flask import g

from fleet.compliance import ruling


def own() -> Mapping[str, str]:
    """Return the titles of own rules by their code; at most one statement in a request."""
    if "rule_titles" not in g:
        g.rule_titles = ruling.titles()
    found: Mapping[str, str] = g.rule_titles
    return found


def forget() -> None:
    """Have the titles read anew, after a rule was saved."""
    g.pop("rule_titles", None)
