"""Refusals about times of school, who is away and which tablets are silent, as sentences."""

from collections.abc import Mapping
from types import MappingProxyType

from fleet.cli.wording import Words, always

_ANSWERED = {
    "answered": "somebody has answered it otherwise; the first answer holds",
    "heard": "the tablet has been heard from since, or moved: nothing is asked any more",
}

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("conflict", "question"): lambda data: _ANSWERED.get(str(data.get("reason")), "it cannot be answered any more"),
        ("invalid", "absence"): lambda data: f"an absence has {data.get('expected')}",
        ("invalid", "after-school"): lambda data: (
            f"these are no hours of an after-school programme: {data.get('reason')}; give {data.get('expected')}"
        ),
        ("invalid", "bells"): lambda data: (
            f"these are no bell times: {data.get('reason')}; give {data.get('expected')}"
        ),
        ("invalid", "calendar day"): lambda data: f"{data.get('on')} cannot be set: give {data.get('expected')}",
        ("invalid", "school hours"): lambda data: f"these are no school hours: give {data.get('expected')}",
        ("not-found", "absence"): always("there is no such absence; `fleet absences list SCHOOL` lists them"),
        ("not-found", "incident"): always("there is no such incident; `fleet incidents list` lists them"),
        ("not-found", "question"): always("there is no such question; `fleet questions list` lists those that wait"),
    }
)
