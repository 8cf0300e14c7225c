"""What refusals about reports say on the command line."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Words = Callable[[Mapping[str, Any]], str]

BY_CODE: Mapping[str, Words] = MappingProxyType(
    {
        "too-many-exports": lambda data: (
            f"the account has {data.get('most')} files already: wait, or remove one of them"
        ),
        "too-many-schedules": lambda data: f"{data.get('most')} reports are mailed already: end one of them first",
    }
)

BY_KIND: Mapping[tuple[str, str], Words] = MappingProxyType(
    {
        ("not-found", "report"): lambda _data: "there is no report of this name: fleet reports list shows them",
        ("not-found", "format"): lambda _data: "reports are written as csv, xlsx or pdf",
        ("not-found", "export"): lambda _data: "there is no such file, or it was removed after its day",
        ("not-found", "report-schedule"): lambda _data: "no report of this number is mailed to that account",
        ("invalid", "report"): lambda data: f"the report's file is too large for a letter: {data.get('expected')}",
        ("invalid", "report-period"): lambda data: f"a report by mail is about one of these: {data.get('expected')}",
        ("invalid", "audit-export"): lambda data: f"this is not a file of audit export ({data.get('reason')})",
        ("invalid", "audit-key"): lambda data: f"the key of the audit's seals: {data.get('reason')}",
        ("invalid", "report-format"): lambda data: f"the file's ending says no format: it is {data.get('expected')}",
    }
)
