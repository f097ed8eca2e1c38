#!/usr/bin/env python3
"""Tables and plot of learned latency, from the rows of `cargo bench --bench latency`.

    python3 benches/latency.py ROWS.csv PLOT.svg > tables.md
"""

import csv
import math
import random
import statistics
import sys
from collections import defaultdict

from panels import draw

METHODS = {"ensemble": "#1f77b4", "random": "#ff7f0e", "estimate": "#2ca02c", "ppo-measured": "#d62728"}
# It chooses nothing by costs: its measurements are by the hundred.
PPO = "ppo-measured"


def read(path):
    final, runs = defaultdict(list), defaultdict(list)
    for row in csv.DictReader(open(path, encoding="utf-8")):
        if row["kind"] == "final":
            final[row["model"], row["method"], int(row["n"])].append((1 / float(row["ratio"]), float(row["error"])))
        elif row["kind"] == "run" and row["ratio"] != "NaN":
            keys = ("n", "estimate", "predicted", "ratio", "error")
            runs[row["model"], row["method"]].append({k: float(row[k] or "nan") for k in keys})
    return final, runs


def mean_and_spread(values):
    return statistics.mean(values), (statistics.stdev(values) if len(values) > 1 else 0.0)


def tables(final, runs, models, counts):
    print("| model | method | 0 | " + " | ".join(map(str, counts)) + " |")
    print("| --- | --- | --- |" + " --- |" * len(counts))
    for model in models:
        ((start, error),) = final[model, "search", 0]
        for method in METHODS:
            cells = []
            for n in counts:
                speedups = [speedup for speedup, _ in final[model, method, n]]
                cells.append("{:.3f} ± {:.3f}".format(*mean_and_spread(speedups)) if speedups else "-")
            if all(cell == "-" for cell in cells):
                continue
            print(f"| {model} | {method} | {start:.3f} | " + " | ".join(cells) + " |")
    ranked = {n: {m: [] for m in METHODS} for n in counts}
    for n in counts:
        for model in models:
            start = final[model, "search", 0][0][0]
            for method in METHODS:
                ranked[n][method] += [speedup / start for speedup, _ in final[model, method, n]]
    for method in METHODS:
        # Of counts that some model was stopped before there is no mean over all.
        whole = lambda n: all(final[model, method, n] for model in models)
        cells = [f"{statistics.geometric_mean(ranked[n][method]):.3f}" if whole(n) else "-" for n in counts]
        if all(cell == "-" for cell in cells):
            continue
        print(f"| geometric mean, over the search's | {method} | 1 | " + " | ".join(cells) + " |")
    if any(cells for (_, method, _), cells in final.items() if method == PPO):
        needed(final, models, counts)
    gains(final, models, counts)
    print("\n| model | error of a reading | estimate off by | ensemble off by, measurements 9 and later |")
    print("| --- | --- | --- | --- |")
    for model in models:
        rows = [row for row in runs[model, "ensemble"] if row["n"] > 8]
        if not rows:
            continue
        off = lambda key: statistics.median(abs(row[key] - row["ratio"]) for row in rows)
        noise = statistics.median(row["error"] for row in rows)
        print(f"| {model} | {noise:.3f} | {off('estimate'):.3f} | {off('predicted'):.3f} |")


def gains(final, models, counts, draws=4000):
    """What the ensemble has over the search alone. The search's graph was timed once for each model, and all seeds share that
    reading: the bootstrap draws models first, then seeds of each."""
    generator = random.Random(0)
    start = {model: final[model, "search", 0][0][0] for model in models}
    # Where other methods were measured alone, or one model, there is nothing to draw.
    counts = [n for n in counts if all(final[model, "ensemble", n] for model in models)]
    if not counts or len(models) < 2:
        return
    print("\n| the ensemble over the search alone | mean | 95 % interval, models drawn first | without the model that gains most |")
    print("| --- | --- | --- | --- |")
    for n in counts:
        logs = {m: [math.log(s / start[m]) for s, _ in final[m, "ensemble", n]] for m in models}
        mean = lambda chosen: statistics.fmean(x for own in chosen for x in own)
        drawn = lambda: mean([[generator.choice(own) for _ in own] for own in (logs[generator.choice(models)] for _ in models)])
        means = sorted(drawn() for _ in range(draws))
        low, high = means[int(0.025 * draws)], means[int(0.975 * draws)]
        most = max(models, key=lambda m: statistics.fmean(logs[m]))
        rest = mean([own for m, own in logs.items() if m != most])
        cells = f"{math.exp(mean(logs.values())):.3f} | [{math.exp(low):.3f}, {math.exp(high):.3f}] | {math.exp(rest):.3f}"
        print(f"| after {n} | {cells} ({most}) |")


def needed(final, models, counts):
    """How many measurements PPO needs for the mean speed-up that the ensemble has after so many."""
    mean = lambda model, method, n: statistics.mean(s for s, _ in final[model, method, n])
    seeds = lambda model: max(len(final[model, PPO, n]) for n in counts)
    # A count that some seed did not reach has no mean.
    of = lambda model, method: [n for n in counts if final[model, method, n] and len(final[model, method, n]) == seeds(model)]
    columns = [n for n in counts if any(final[model, "ensemble", n] for model in models)]
    print("\n| PPO's measurements for what the ensemble has after | " + " | ".join(map(str, columns)) + " |")
    print("| --- |" + " --- |" * len(columns))
    for model in models:
        cells = []
        for n in columns:
            if not (of(model, PPO) and final[model, "ensemble", n]):
                cells.append("-")
                continue
            wanted = mean(model, "ensemble", n)
            enough = [k for k in of(model, PPO) if mean(model, PPO, k) >= wanted]
            cells.append(str(enough[0]) if enough else f"more than {of(model, PPO)[-1]}")
        print(f"| {model} | " + " | ".join(cells) + " |")


def plot(final, models, counts, path):
    present = [method for method in METHODS if any(m == method and cells for (_, m, _), cells in final.items())]
    panels = []
    for model in models:
        series = {}
        for method in present:
            of = {n: [s for s, _ in final[model, method, n]] for n in counts if final[model, method, n]}
            if of:
                series[method] = {0: [final[model, "search", 0][0][0]], **of}
        panels.append((model, series))
    caption = "speed-up over the original against measurements; lines are means, dots seeds"
    draw(path, panels, {method: METHODS[method] for method in present}, caption)


def main():
    final, runs = read(sys.argv[1])
    models = list(dict.fromkeys(model for model, _, _ in final))
    counts = sorted({n for (_, _, n), cells in final.items() if n > 0 and cells})
    tables(final, runs, models, counts)
    plot(final, models, counts, sys.argv[2])


if __name__ == "__main__":
    main()
