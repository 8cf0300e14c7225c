"""Several made-up school years together: ``PYTHONPATH=. .venv/bin/python -m tests.silence_seeds 1 2 3`` prints figures.

One year has twenty thefts, so one that is found late costs five hundredths: only many years say how well it goes.
"""

import sys
from collections.abc import Sequence

from tests.silence_world import THEFTS, World
from tests.silence_year import Figures, Year, figures


def main(seeds: Sequence[int]) -> None:
    """Live through a year for each seed, and print each one's figures and those of all together."""
    found: list[Figures] = []
    for seed in seeds:
        one = figures(Year(World(seed)).run())
        found.append(one)
        print(f"seed {seed}\n{one.told()}", flush=True)  # noqa: T201
    years, missing = len(found), sum(one.missing for one in found)
    right = sum(round(one.precision * one.missing) for one in found)
    outages = sum(sum(one.per_outage.values()) for one in found)
    print(  # noqa: T201
        f"{years} years together: precision {right / missing:.3f}, "
        f"recall {sum(one.recall for one in found) / years:.3f} "
        f"(wrong answers' time counted {sum(one.recall_slips for one in found) / years:.3f}, "
        f"in plain school hours {sum(one.recall_strict for one in found) / years:.3f}) of {years * THEFTS} thefts, "
        f"{sum(one.per_outage.get(1, 0) for one in found)} of {outages} access points' outages one incident each, "
        f"{sum(one.by_holidays for one in found)} flags by days off, "
        f"{sum(one.questions_a_class for one in found) / years:.1f} questions a class and year"
    )


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]] or [1])
