"""Forecasts against what came: outcomes are counted, learned from and shown."""

from dataclasses import dataclass
from datetime import datetime

from fleet.access import Principal


@dataclass(frozen=True, slots=True)
class Calibration:
    """Forecasts of one band (``70-79``) or kind, and what came.

    Args:
        name: the band, or the kind.
        is_band: whether it is a band.
        tablets: how many forecasts were made.
        forecast_percent: their mean.
        arrived: how many tablets arrived in time.
        arrived_percent: the share that did.
    """

    name: str
    is_band: bool
    tablets: int
    forecast_percent: float
    arrived: int
    arrived_percent: float


def note_outcomes(*, now: datetime) -> int:
    """Count the outcomes of forecasts whose time is over; returns how many. For a job; a second run counts nothing."""
    raise NotImplementedError


def calibration(*, school_id: int | None, since: datetime, by: Principal) -> list[Calibration]:
    """Return forecasts against what came, by band and by kind, of lessons since then."""
    raise NotImplementedError
