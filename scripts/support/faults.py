"""``scripts/faults``: list the faults, or have them happen again and again, and see that all is well after each."""

import argparse
import json
import signal
import sys
import time
from dataclasses import dataclass

from tests.faults.kinds import FAULTS, run
from tests.faults.world import FaultError, World, world

_BETWEEN_S = 1.5  # of a tablet: about what the server lets one report for hours
_TABLETS = 40


@dataclass
class Outcome:
    """What became of a fault: how often it happened and all was well, and why not where it is so."""

    name: str
    times: int = 0
    seconds: float = 0.0
    acknowledged: int = 0  # reports, meanwhile
    skipped: str | None = None
    failed: str | None = None

    def __str__(self) -> str:
        if self.skipped is not None:
            return f"{self.name:<18} skipped: {self.skipped}"
        told = f"{self.times} times in {self.seconds:.0f} s, {self.acknowledged} reports acknowledged meanwhile"
        return (
            f"{self.name:<18} {'all is well' if self.failed is None else 'FAULT'}: {told}\n{self.failed or ''}".strip()
        )


def _happen(made: World, name: str, seconds: float) -> Outcome:
    found = Outcome(name, skipped=FAULTS[name].why_not(made))
    if found.skipped is not None:
        return found
    begun, before = time.monotonic(), made.acknowledged()
    try:
        while found.times == 0 or found.seconds < seconds:
            run(made, name)
            found.times += 1
            found.seconds = round(time.monotonic() - begun, 1)
    except FaultError as error:
        found.failed = str(error)
    found.seconds = round(time.monotonic() - begun, 1)
    found.acknowledged = made.acknowledged() - before
    return found


def main() -> int:
    """Do what was asked for; returns the exit code, 1 where something was not as it must be."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description="See fleet/docs/faults.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of faults, or all")
    parser.add_argument("--seconds", type=float, default=30, help="for how long each happens again; at least once")
    parser.add_argument("--tablets", type=int, default=_TABLETS, help="how many report meanwhile")
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--json", action="store_true", help="nothing but a JSON object on the last line")
    given = parser.parse_args()
    unknown = set(given.names) - {*FAULTS, "all"}
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if not given.names:
        for name, fault in FAULTS.items():
            print(f"{name:<18} {fault.what}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays behind
    names = list(FAULTS) if "all" in given.names else given.names
    print(f"faults: {given.tablets} tablets on {given.database} …", file=sys.stderr)
    found = []
    with world(given.database, tablets=given.tablets, pause_s=_BETWEEN_S) as made:
        for name in names:
            found.append(_happen(made, name, given.seconds))
            if not given.json:
                print(found[-1], flush=True)
            if found[-1].failed is not None:
                break
    if given.json:
        print(
            json.dumps({"database": given.database, "tablets": given.tablets, "faults": [vars(one) for one in found]})
        )
    return 1 if any(one.failed is not None for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
