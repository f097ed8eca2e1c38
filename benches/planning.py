"""Table and plot of the study of rollout shapes.

    cargo bench --bench planning -- shapes MODEL > rows.csv
    python3 benches/planning.py rows.csv PLOT.svg > table.md
"""

import csv
import statistics
import sys
from collections import defaultdict

WAYS = {"perfect": "a perfect model", "experts": "M fitted to experts", "online": "M fitted round by round", "replay": "replay", "none": "no planning"}
COLOURS = {"100x1": "#1b6ca8", "33x3": "#c0392b", "10x10": "#2e8b57", "-": "#777777"}


def read(path):
    """Of each way and shape, by round: (real steps, planned steps, return when played, return of the likeliest, seconds) of each seed."""
    arms = defaultdict(lambda: defaultdict(list))
    for row in csv.DictReader(open(path)):
        numbers = ["real_steps", "planned_steps", "played_return", "real_return_slots", "seconds"]
        arms[row["planning"], row["shape"]][int(row["round"])].append([float(row[n]) for n in numbers])
    return arms


def spread(values):
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3f} ± {deviation:.3f}"


def table(arms):
    rounds = sorted({r for rows in arms.values() for r in rows})
    print("| planning in | shape | " + " | ".join(f"round {r + 1}" for r in rounds) + " | episodes of the last | real steps | planned | seconds |")
    print("| --- | --- |" + " --- |" * (len(rounds) + 4))
    for (way, shape), rows in arms.items():
        cells = [spread([seed[3] for seed in rows[r]]) for r in rounds]
        last = rows[rounds[-1]]
        mean = lambda at: statistics.fmean(seed[at] for seed in last)
        cells += [spread([seed[2] for seed in last]), f"{mean(0):,.0f}", f"{mean(1):,.0f}", f"{mean(4):.0f}"]
        print(f"| {WAYS[way]} | {shape} | " + " | ".join(cells) + " |")


def plot(arms, path):
    width, height, pad = 260, 230, 40
    high = 1.05 * max(seed[3] for rows in arms.values() for cell in rows.values() for seed in cell)
    most = max(seed[0] for rows in arms.values() for cell in rows.values() for seed in cell)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * len(WAYS)}" height="{height + 30}" font-family="sans-serif" font-size="11">']
    out.append('<rect width="100%" height="100%" fill="white"/>')
    for at, (way, title) in enumerate(WAYS.items()):
        x = lambda steps: at * width + pad + steps / most * (width - pad - 12)
        y = lambda value: height - 30 - value / high * (height - 60)
        out.append(f'<text x="{at * width + width / 2}" y="18" text-anchor="middle" font-size="13">{title}</text>')
        for value in [0.1 * k for k in range(int(high / 0.1) + 1)]:
            out.append(f'<line x1="{x(0):.1f}" x2="{x(most):.1f}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>')
            out.append(f'<text x="{x(0) - 5:.1f}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.1f}</text>')
        for steps in (0, 1000, 2000):
            out.append(f'<text x="{x(steps):.1f}" y="{height - 14}" text-anchor="middle">{steps}</text>')
        for (own, shape), rows in arms.items():
            if own != way:
                continue
            line = [(statistics.fmean(s[0] for s in cell), statistics.fmean(s[3] for s in cell)) for cell in rows.values()]
            points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)
            out.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[shape]}" stroke-width="2"/>')
            for cell in rows.values():
                out += [f'<circle cx="{x(s[0]):.1f}" cy="{y(s[3]):.1f}" r="2" fill="{COLOURS[shape]}"/>' for s in cell]
    for at, (shape, colour) in enumerate(list(COLOURS.items())[:3]):
        out.append(f'<text x="{pad + at * 70}" y="{height + 16}" fill="{colour}" font-size="13">{shape}</text>')
    out.append(f'<text x="{pad + 230}" y="{height + 16}">return of the likeliest episode against real steps; lines are means, dots seeds</text>')
    out.append("</svg>")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")


if __name__ == "__main__":
    rows = read(sys.argv[1])
    table(rows)
    plot(rows, sys.argv[2])
