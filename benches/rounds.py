#!/usr/bin/env python3
"""What controllers of `train-world-model` are worth behind each round, and what it is worth to keep the best of them.

    python3 benches/rounds.py rows RUN... > ROWS.csv      (folders of runs on one graph, called GRAPH-KIND-SEED)
    python3 benches/rounds.py table ROWS.csv

Round 0 is before the first dream. The table has the return for real among slots: before any dream, behind the last round, and of the
one that is kept, which is the best of all (the last of equals); how often that is which; and the most that any round lost.
"""

import argparse
import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

from rows import mean_and_spread

# As in the program, whose returns are ten times these while it trains.
EQUAL = 1e-5
FIELDS = ["model", "kind", "seed", "round", "true_slots", "true_candidates", "predicted_slots"]


def rows(runs):
    writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
    writer.writeheader()
    for run in map(Path, runs):
        model, kind, seed = run.name.rsplit("-", 2)
        judged = [unit for unit in map(json.loads, (run / "metrics.jsonl").open()) if "return/true_slots" in unit]
        for number, unit in enumerate(judged):
            returns = {key: unit[f"return/{key}"] for key in FIELDS[4:]}
            writer.writerow({"model": model, "kind": kind, "seed": seed, "round": number, **returns})


def table(path):
    runs = defaultdict(list)
    for row in csv.DictReader(open(path)):
        runs[row["model"], row["kind"], row["seed"]].append(float(row["true_slots"]))
    groups = defaultdict(list)
    for (model, kind, _), returns in runs.items():
        groups[model, kind].append(returns)
    print("| model | trained by | before any dream | last round | kept | kept is the last / an earlier / none that dreamt | most lost by a round | seeds |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for (model, kind), own in sorted(groups.items()):
        best = [max(at for at, value in enumerate(returns) if value + EQUAL >= max(returns)) for returns in own]
        cells = [mean_and_spread([returns[0] for returns in own]), mean_and_spread([returns[-1] for returns in own])]
        cells.append(mean_and_spread([max(returns) for returns in own]))
        last, none = sum(at == len(r) - 1 for at, r in zip(best, own)), best.count(0)
        cells.append(f"{last} / {len(own) - last - none} / {none}")
        cells.append(f"{max(max(a - b for a, b in zip(returns, returns[1:])) for returns in own):.3f}")
        print(f"| {model} | {kind} | " + " | ".join([*cells, str(len(own))]) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("rows").add_argument("runs", nargs="+")
    commands.add_parser("table").add_argument("rows")
    options = parser.parse_args()
    if options.command == "rows":
        rows(options.runs)
    else:
        table(options.rows)


if __name__ == "__main__":
    main()
