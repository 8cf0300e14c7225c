"""``scripts/school-day``: live through a school day, or work out how it would be with more tablets."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench import processes
from school_day import costs, day, model, picture, telling
from school_day.clock import told as instant
from school_day.costs import Costs
from school_day.day import Found, Wanted
from school_day.model import Asked
from school_day.telling import Progress


def _count(text: str) -> int:
    """Return a whole number from 1 on."""
    if (found := int(text)) < 1:
        raise ValueError(text)
    return found


def _factor(text: str) -> float:
    """Return a number above 0."""
    if not (found := float(text)) > 0:
        raise ValueError(text)
    return found


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/school-day", description="A school day of simulated tablets; see fleet/docs/school-day.md."
    )
    add = parser.add_argument
    add("--tablets", type=_count, default=200, help="how many; a municipality has 7000, the nation 622000")
    add("--speed", type=_factor, default=60.0, help="how many seconds of the day pass in one")
    add("--from", dest="begins", type=instant, default="07:00", metavar="HH:MM")
    add("--to", dest="ends", type=instant, default="17:00", metavar="HH:MM")
    add("--database", choices=["sqlite", "postgresql"], default="postgresql")
    add("--seed", type=int, default=1, help="the same seed is the same day")
    add("--kill-server-at", type=instant, default="10:00", metavar="HH:MM", help="kill -9, and start it again")
    add("--no-kill", action="store_true", help="let the server live")
    add("--drivers", type=_count, default=1, help="processes that carry the tablets")
    add("--picture", type=Path, metavar="FILE", help="where to draw the day (SVG)")
    add("--json", action="store_true", help="nothing but the JSON object on the last line")
    words = "JSON of scripts/bench checkin, poll, lessons, or of this: what the model works with; may be given often"
    add("--measured", type=Path, action="append", default=[], metavar="FILE", help=words)
    add("--model", action="store_true", help="work it out, without a server")
    add("--bar-ms", type=_factor, default=100.0, help="of the model: within what 99 %% are answered in the rush")
    add("--queue-limit", type=_count, default=2000, help="of the model: FLEET_QUEUE_LIMIT")
    add("--server-faster", type=_factor, default=1.0, help="of the model: how many times as fast a server's core is")
    add("--database-faster", type=_factor, default=1.0, help="of the model: and a database's")
    return parser


def _live(given: argparse.Namespace, measured: Costs) -> tuple[dict[str, Any], bool]:
    """Live through the day; returns its figures, and whether nothing was lost or doubled."""
    kill_at = None if given.no_kill else given.kill_server_at
    wanted = Wanted(
        given.tablets, given.speed, given.begins, given.ends, kill_at, given.database, given.seed, given.drivers
    )
    print(f"school-day: {wanted.tablets} tablets on {wanted.kind}; setting up …", file=sys.stderr, flush=True)
    found = day.run(wanted, Progress(wanted.begins, wanted.ends).told)
    told = telling.summary(found)
    told["model"] = model.calibrate(telling.lived(found, told), measured)
    told["costs_seen"] = telling.costs_seen(found, told)
    if given.picture is not None:
        _draw(given.picture, found)
    return told, found.verdict is not None and found.verdict.is_clean


def _draw(path: Path, found: Found) -> None:
    path.write_text(picture.svg(found), encoding="utf-8")
    print(f"school-day: the picture is {path}", file=sys.stderr)


def _work_out(given: argparse.Namespace, measured: Costs) -> dict[str, Any]:
    asked = Asked(
        given.tablets,
        begins=given.begins,
        ends=given.ends,
        bar_ms=given.bar_ms,
        limit=given.queue_limit,
        server_faster=given.server_faster,
        database_faster=given.database_faster,
        seed=given.seed,
    )
    return model.work_out(asked, measured)


def main() -> int:
    """Run what was asked for; the exit code is 1 where something was lost or doubled."""
    options = _options()
    given = options.parse_args()
    if given.begins >= given.ends:
        options.error("the day ends before it begins")
    measured = costs.read_files(given.measured)
    try:
        told, is_clean = (_work_out(given, measured), True) if given.model else _live(given, measured)
    except KeyboardInterrupt:
        print("school-day: broken off", file=sys.stderr)
        return 130
    if not given.json:
        shown = {name: value for name, value in told.items() if name not in {"bars", "costs_seen"}}
        print("\n".join(telling.lines(shown)))
        for words, has_held in told.get("bars", {}).items():
            print(f"{'held  ' if has_held else 'MISSED'} {words}")
    bench = "school-day-model" if given.model else "school-day"
    print(json.dumps({"bench": bench, **told, "machine": processes.machine()}, ensure_ascii=False))
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
