"""The command: ``python -m bench [--quick] [--json FILE] [--only NAME,...]``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench import report
from bench.measure import FULL, QUICK
from bench.scenarios import load_peers, measure, scenarios


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="handfast beside its peers, both sides of each connection in memory."
    )
    parser.add_argument("--quick", action="store_true", help="a first look, within 45 seconds")
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write the result there as well; - is standard output"
    )
    parser.add_argument("--only", metavar="NAMES", help="some scenarios only, separated by commas")
    options = parser.parse_args()

    chosen = scenarios()
    if options.only:
        names = options.only.split(",")
        unknown = set(names) - {scenario.name for scenario in chosen}
        if unknown:
            parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
        chosen = [scenario for scenario in chosen if scenario.name in names]

    peers, missing = load_peers()
    for name, why in missing.items():
        print(f"{name}: {why}", file=sys.stderr)
    effort = QUICK if options.quick else FULL
    results = {}
    for scenario in chosen:
        print(f"{scenario.name}: {scenario.title}", file=sys.stderr)
        results[scenario.name], unavailable = measure(scenario, peers, effort)
        for name, why in unavailable.items():
            print(f"  without {name}: {why}", file=sys.stderr)

    result = json.dumps({"quick": options.quick, "machine": report.machine(), "scenarios": results}, indent=2) + "\n"
    if options.json == Path("-"):
        sys.stdout.write(result)
        return 0
    report.table(results)
    if options.json:
        options.json.write_text(result, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
