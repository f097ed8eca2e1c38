"""Rows of a study, in a file that a study that was stopped goes on with."""

import csv
import json
import math
import statistics
from pathlib import Path


class Rows:
    """A file of rows; each is known by some of its fields."""

    def __init__(self, path, fields, key):
        self.path, self.fields, self.key = Path(path), fields, key
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.known = set()
        if self.path.exists():
            with self.path.open() as file:
                self.known = {tuple(row[name] for name in key) for row in csv.DictReader(file)}
        else:
            self.path.write_text(",".join(fields) + "\n")

    def __contains__(self, key):
        return tuple(map(str, key)) in self.known

    def add(self, row):
        """Adds a row; what is in none of the fields is left out."""
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.fields, extrasaction="ignore", lineterminator="\n").writerow(row)
        self.known.add(tuple(str(row[name]) for name in self.key))


def last_numbers(run, group):
    """The last of each number of a group, such as `return`, in the metrics of a training's folder."""
    last = {}
    for line in (Path(run) / "metrics.jsonl").open():
        last.update(json.loads(line))
    return {key.removeprefix(f"{group}/"): value for key, value in last.items() if key.startswith(f"{group}/")}


def mean_and_spread(values, digits=3):
    """`mean ± deviation` of the numbers among some values, as a cell of a table."""
    values = [value for value in values if not math.isnan(value)]
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"
