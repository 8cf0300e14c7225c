"""What is found of tablets' quiet and asked about it, as the looks need it: read, and made a value of.

Not here: what follows from it (:mod:`fleet.compliance.steps`).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from fleet.compliance.models import OF_SILENCE, Finding, FindingKind, Question
from fleet.compliance.quiet import Asked
from fleet.db import among, db


def findings_of(device_ids: Collection[int]) -> Mapping[int, Sequence[Any]]:
    """Return tablets' findings of silence that are open or mute; one statement."""
    found: dict[int, list[Any]] = defaultdict(list)
    query = select(Finding.id, Finding.device_id, Finding.kind, Finding.closed_at)
    query = query.where(Finding.kind.in_(OF_SILENCE), Finding.stands())
    for row in db.session.execute(query.where(among(Finding.device_id, device_ids))):
        found[row.device_id].append(row)
    return found


def questions_of(device_ids: Collection[int], since: datetime) -> Mapping[int, Sequence[Question]]:
    """Return the questions about tablets that wait, or were asked since; one statement."""
    found: dict[int, list[Question]] = defaultdict(list)
    query = select(Question).where(
        Question.withdrawn_at.is_(None), or_(Question.answered_at.is_(None), Question.asked_at >= since)
    )
    query = query.where(among(Question.device_id, device_ids)).order_by(Question.id)
    for one in db.session.scalars(query.execution_options(populate_existing=True)):
        found[one.device_id].append(one)
    return found


@dataclass(frozen=True, slots=True)
class Said:
    """What is found and asked about a tablet's present quiet, and open questions about another, or that need no answer.

    Who closes a finding of silence by hand knows of the tablet: neither kind opens, and nobody is asked.
    """

    silent_id: int | None
    missing_id: int | None
    mute: frozenset[str]
    asked: Asked | None
    stale: Sequence[int]

    @staticmethod
    def of(findings: Sequence[Any], questions: Sequence[Question], heard_at: datetime, class_id: int | None) -> "Said":
        """Return what rows say."""
        is_open = {one.kind: one.id for one in findings if one.closed_at is None}
        is_closed_by_hand = len(is_open) < len(findings)
        found, stale = None, []
        for one in questions:
            is_over = one.asked_at < heard_at or one.class_id != class_id or is_closed_by_hand
            if one.answered_at is None and is_over:
                stale.append(one.id)
            elif one.asked_at >= heard_at:
                found = one
        asked = None
        if found is not None:
            asked = Asked(
                found.id, found.asked_at, found.escalated_at, found.answer, found.answered_at, found.excused_until
            )
        return Said(
            is_open.get(FindingKind.SILENT),
            is_open.get(FindingKind.MISSING),
            frozenset(OF_SILENCE if is_closed_by_hand else ()),
            asked,
            stale,
        )
