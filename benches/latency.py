#!/usr/bin/env python3
"""Tables and plot of learned latency, from the rows of `cargo bench --bench latency`.

    python3 benches/latency.py ROWS.csv PLOT.svg > tables.md
"""

import csv
import statistics
import sys
from collections import defaultdict

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
        cells = [f"{statistics.geometric_mean(ranked[n][method]):.3f}" if ranked[n][method] else "-" for n in counts]
        if all(cell == "-" for cell in cells):
            continue
        print(f"| geometric mean, over the search's | {method} | 1 | " + " | ".join(cells) + " |")
    if any(cells for (_, method, _), cells in final.items() if method == PPO):
        needed(final, models, counts)
    print("\n| model | error of a reading | estimate off by | ensemble off by, measurements 9 and later |")
    print("| --- | --- | --- | --- |")
    for model in models:
        rows = [row for row in runs[model, "ensemble"] if row["n"] > 8]
        if not rows:
            continue
        off = lambda key: statistics.median(abs(row[key] - row["ratio"]) for row in rows)
        noise = statistics.median(row["error"] for row in rows)
        print(f"| {model} | {noise:.3f} | {off('estimate'):.3f} | {off('predicted'):.3f} |")


def needed(final, models, counts):
    """How many measurements PPO needs for the mean speed-up that the ensemble has after so many."""
    mean = lambda model, method, n: statistics.mean(s for s, _ in final[model, method, n])
    of = lambda model, method: [n for n in counts if final[model, method, n]]
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
    width, height, pad, columns = 300, 210, 44, 3
    rows = -(-len(models) // columns)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * columns}" height="{height * rows + 30}" font-family="sans-serif" font-size="11">']
    out.append('<rect width="100%" height="100%" fill="white"/>')
    for at, model in enumerate(models):
        left, top = at % columns * width, at // columns * height
        of = lambda m: [(n, final[model, m, n]) for n in counts if final[model, m, n]]
        points = {m: [(0, final[model, "search", 0])] + of(m) for m in METHODS if of(m)}
        values = [s for line in points.values() for _, cell in line for s, _ in cell]
        low, high = min(values) - 0.02, max(values) + 0.02
        x = lambda k: left + pad + k * (width - pad - 16) / len(counts)
        y = lambda s: top + height - 30 - (s - low) * (height - 60) / (high - low)
        out.append(f'<text x="{left + width / 2}" y="{top + 18}" text-anchor="middle" font-size="13">{model}</text>')
        for s in (low + 0.02, (low + high) / 2, high - 0.02):
            out.append(f'<text x="{left + pad - 6}" y="{y(s) + 4}" text-anchor="end">{s:.2f}</text>')
            out.append(f'<line x1="{left + pad}" x2="{left + width - 16}" y1="{y(s)}" y2="{y(s)}" stroke="#ddd"/>')
        for k, n in enumerate([0] + counts):
            out.append(f'<text x="{x(k)}" y="{top + height - 14}" text-anchor="middle">{n}</text>')
        place = {n: k for k, n in enumerate([0] + counts)}
        for method, cells in points.items():
            colour = METHODS[method]
            line = [(x(place[n]), y(statistics.mean(s for s, _ in cell))) for n, cell in cells]
            path_text = " ".join(f"{a:.1f},{b:.1f}" for a, b in line)
            out.append(f'<polyline points="{path_text}" fill="none" stroke="{colour}" stroke-width="2"/>')
            for n, cell in cells:
                out += [f'<circle cx="{x(place[n]):.1f}" cy="{y(s):.1f}" r="2" fill="{colour}"/>' for s, _ in cell]
    for at, (method, colour) in enumerate(METHODS.items()):
        out.append(f'<text x="{pad + at * 110}" y="{height * rows + 18}" fill="{colour}" font-size="13">{method}</text>')
    out.append(f'<text x="{pad + 4 * 110}" y="{height * rows + 18}">speed-up over the original against measurements; lines are means, dots seeds</text>')
    out.append("</svg>")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")


def main():
    final, runs = read(sys.argv[1])
    models = list(dict.fromkeys(model for model, _, _ in final))
    counts = sorted({n for _, _, n in final if n > 0})
    tables(final, runs, models, counts)
    plot(final, models, counts, sys.argv[2])


if __name__ == "__main__":
    main()
