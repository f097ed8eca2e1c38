#!/usr/bin/env python3
"""Tables and plots of `cargo bench --bench dream`.

    cargo bench --bench dream -- quality > rows.csv
    python3 benches/dream.py quality rows.csv PLOT.svg > table.md
    cargo bench --bench dream -- temperature MODEL > rows.csv
    python3 benches/dream.py temperature rows.csv PLOT.svg > table.md
"""

import csv
import statistics
import sys
from collections import defaultdict

from panels import draw

MODELS = {"mixture": "mixture of 5", "gaussian": "one Gaussian", "deterministic": "a single prediction"}
MODELS |= {f"blind-{name}": f"{title}, blind" for name, title in MODELS.items()}
MODELS |= {f"books-{name}": f"{title}, books" for name, title in list(MODELS.items())[:3]}
COLOURS = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#777777"]
SKILLS = {"state_skill": "state", "cost_skill": "cost", "reward_skill": "reward", "slot_f1": "F1 of slots that change"}
SKILLS |= {"continue_accuracy": "continue", "end_recall": "ends"}


def cell(values, digits=2):
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"


def quality(path, plot):
    cells = defaultdict(list)
    for row in csv.DictReader(open(path, encoding="utf-8")):
        for key in SKILLS:
            cells[row["on"], row["model"], int(row["horizon"]), key].append(float(row[key]))
    kinds = list(dict.fromkeys(on for on, *_ in cells))
    models = [m for m in MODELS if any(model == m for _, model, *_ in cells)]
    horizons = sorted({horizon for _, _, horizon, _ in cells})
    for on in kinds:
        print(f"{on[0].upper()}{on[1:]}:\n")
        print("| M | steps ahead | " + " | ".join(SKILLS.values()) + " |")
        print("| --- |" + " --- |" * (len(SKILLS) + 1))
        for model in models:
            for horizon in horizons:
                values = " | ".join(cell(cells[on, model, horizon, key]) for key in SKILLS)
                print(f"| {MODELS[model]} | {horizon} | {values} |")
        print()
    panels = []
    for on in kinds:
        for key in ("state_skill", "cost_skill", "reward_skill", "slot_f1"):
            series = {MODELS[m]: {h: cells[on, m, h, key] for h in horizons} for m in models}
            panels.append((f"{on}: {SKILLS[key]}", series))
    colours = dict(zip((MODELS[m] for m in models), COLOURS))
    draw(plot, panels, colours, "skill against steps ahead; lines are means, dots seeds; 0 is to predict no change", columns=4)


def temperature(path, plot):
    rows = list(csv.DictReader(open(path, encoding="utf-8")))
    cells = defaultdict(list)
    for row in rows:
        for key in ("dream_return", "real_return_slots"):
            cells[row["start"], float(row["temperature"]), key].append(float(row[key]))
    starts = list(dict.fromkeys(start for start, _, _ in cells))
    temperatures = sorted({tau for _, tau, _ in cells})
    print("| temperature | " + " | ".join(f"{s}: dream | {s}: real | worst real" for s in starts) + " |")
    print("| --- |" + " --- |" * 3 * len(starts))
    for tau in temperatures:
        line = []
        for start in starts:
            real = cells[start, tau, "real_return_slots"]
            line += [cell(cells[start, tau, "dream_return"], 3), cell(real, 3), f"{min(real):.3f}"]
        print(f"| {tau:g} | " + " | ".join(line) + " |")
    for start in starts:
        untrained = [float(row["untrained_real_return"]) for row in rows if row["start"] == start and float(row["temperature"]) == 0]
        print(f"\nBefore any dream, begun {start}: {cell(untrained, 3)}.", end="")
    greedy = float(rows[0]["greedy_return"])
    print(f" Greedy search: {greedy:.3f}. Seeds: {len({row['seed'] for row in rows})}.")
    titles = {"dream_return": "in the dream", "real_return_slots": "for real"}
    colours = dict(zip(titles.values(), COLOURS))
    panels = [(f"{rows[0]['model']}, begun {start}", {titles[key]: {tau: cells[start, tau, key] for tau in temperatures} for key in titles})
              for start in starts]
    draw(plot, panels, colours, "return against temperature; lines are means, dots seeds", columns=2, lines={"greedy": greedy})


if __name__ == "__main__":
    {"quality": quality, "temperature": temperature}[sys.argv[1]](*sys.argv[2:])
