#!/usr/bin/env python3
"""What the parts of the dream are worth: one of them at a time left out, or done in another way.

    python3 benches/ablations.py run GRAPHOPT FOLDER [--seeds N...] [--models NAME...] [--variants NAME...]
    python3 benches/ablations.py table FOLDER/ablations.csv

Every run is one `graphopt train-world-model` on one graph. By default each makes about 20,000 real steps on graphs whose
episodes have about 20 actions: three rounds of 148 episodes of each player (three players at first, then one). Less than in
`--preset cpu` is: epochs (6 of 40), generations (20 of 60) and rounds (3 of 4), so that a run takes minutes on one core.
Rows are added to FOLDER/ablations.csv as they come; one that is there already is not made again, and a run that was stopped
goes on. Predicted and true slots are two columns of each row: what the controller's dream says, and what it earns for real, at
the end of the last round, whether that one's controller is the one that is kept or not.
"""

import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rows import Rows, last_numbers, mean_and_spread

MODELS = ["nasrnn_4", "inception_pair", "squeezenet1_1"]
VARIANTS = {
    "default": [],
    "encoder trained": ["--encoder", "trained"],
    "encoder by the task": ["--encoder-loss", "task"],
    "encoder trained, by the task": ["--encoder", "trained", "--encoder-loss", "task"],
    "plain deltas": ["--plain-deltas"],
    "ensemble of 3, penalty 0.5": ["--ensemble", "3", "--disagreement-penalty", "0.5"],
    "blind": ["--blind"],
    "books": ["--books"],
    "no aggregation": ["--no-aggregation"],
    "V alone": ["--controller-sees", "state"],
    "V alone, hidden layer": ["--controller-sees", "state", "--controller-hidden", "12"],
}
RETURNS = ["true_slots", "true_candidates", "predicted_slots"]
# Of the last round, from the run's metrics.
QUALITY = ["effective_rank", "variance", "state_skill_1", "state_skill_5", "cost_skill_5", "reward_skill_5", "slot_f1_1", "slot_f1_5"]
FIELDS = ["model", "variant", "seed", "start_us", "search_us", "best_us", *RETURNS, "controller_parameters"]
FIELDS += ["real_steps", "dream_steps", "seconds", *QUALITY]


def run(options):
    folder = Path(options.folder)
    rows = Rows(folder / "ablations.csv", FIELDS, ["model", "variant", "seed"])
    # A seed of everything before the next: a study that is stopped has whole tables.
    for seed in options.seeds:
        for model in options.models:
            for variant in options.variants:
                if (model, variant, seed) not in rows:
                    row = one(options, folder, model, variant, seed)
                    rows.add(row)
                    print(f"{model}, {variant}, {seed}: {row['seconds']:.0f} s", file=sys.stderr)


def one(options, folder, model, variant, seed):
    out = folder / "runs" / f"{Path(model).stem}-{variant.replace(' ', '_').replace(',', '')}-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    sizes = ["--rounds", "--episodes", "--epochs", "--generations", "--pretrain-updates"]
    sizes = [part for flag in sizes for part in (flag, getattr(options, flag[2:].replace("-", "_")))]
    command = [options.graphopt, "train-world-model", model, "--out", out, "--seed", seed, "--device", "cpu", "--json"]
    # A run that goes on has the time of what was done before beside its checkpoint.
    clock = out / "seconds"
    before = float(clock.read_text()) if clock.exists() else 0.0
    begin = time.time()
    process = subprocess.Popen(
        [str(part) for part in [*command, *sizes, *VARIANTS[variant]]],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "RAYON_NUM_THREADS": options.threads},
    )
    try:
        output, errors = process.communicate()
    finally:
        clock.write_text(str(before + time.time() - begin))
    if process.returncode != 0:
        sys.exit(f"{model}, {variant}, {seed}: {errors.strip()}")
    result = json.loads(output)
    (own,) = result["models"]
    if result["rounds"] < options.rounds:
        sys.exit(f"{model}, {variant}, {seed}: it was stopped; the same command goes on")
    last, returns = last_numbers(out, "quality"), last_numbers(out, "return")
    row = {key: own[key] for key in ("start_us", "search_us", "best_us")} | {key: returns[key] for key in RETURNS}
    row |= {key: result[key] for key in ("controller_parameters", "real_steps", "dream_steps")}
    row |= {key: last.get(key, math.nan) for key in QUALITY}
    return row | {"model": model, "variant": variant, "seed": seed, "seconds": float(clock.read_text())}


def table(path):
    rows = list(csv.DictReader(open(path)))
    models = list(dict.fromkeys(row["model"] for row in rows))
    variants = [variant for variant in VARIANTS if any(row["variant"] == variant for row in rows)]
    print("Returns are `log(start / reached)`, the mean over seeds ± deviation.\n")
    for model in models:
        own = [row for row in rows if row["model"] == model]
        start = float(own[0]["start_us"])
        search = math.log(start / float(own[0]["search_us"]))
        print(f"{model}: the portfolio reaches {search:.3f}.\n")
        titles = ["among slots", "among all candidates", "in its dream", "best met", "state 5 ahead", "slots 1 ahead", "rank", "parameters"]
        print("| variant | " + " | ".join(titles) + " | real steps | s | seeds |")
        print("| --- |" + " --- |" * (len(titles) + 3))
        for variant in variants:
            part = [row for row in own if row["variant"] == variant]
            if not part:
                continue
            column = lambda key: [float(row[key]) for row in part]
            met = [math.log(start / us) for us in column("best_us")]
            cells = [mean_and_spread(column(key)) for key in RETURNS]
            cells += [mean_and_spread(met), mean_and_spread(column("state_skill_5"), 2), mean_and_spread(column("slot_f1_1"), 2)]
            cells += [mean_and_spread(column("effective_rank"), 1), part[0]["controller_parameters"]]
            cells += [f"{statistics.fmean(column(key)):.0f}" for key in ("real_steps", "seconds")]
            print(f"| {variant} | " + " | ".join([*cells, str(len(part))]) + " |")
        print()
    print("Less than the default on the same graph and seed, as a mean over all of them:\n")
    print("| variant | among slots | among all candidates | dream less real, among slots |\n| --- | --- | --- | --- |")
    base = {(row["model"], row["seed"]): row for row in rows if row["variant"] == "default"}
    for variant in variants:
        part = [row for row in rows if row["variant"] == variant and (row["model"], row["seed"]) in base]
        less = lambda key: [float(base[row["model"], row["seed"]][key]) - float(row[key]) for row in part]
        wrong = [float(row["predicted_slots"]) - float(row["true_slots"]) for row in part]
        cells = [mean_and_spread(less("true_slots")), mean_and_spread(less("true_candidates")), mean_and_spread(wrong)]
        print(f"| {variant} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    runs = commands.add_parser("run")
    runs.add_argument("graphopt")
    runs.add_argument("folder")
    runs.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    runs.add_argument("--models", nargs="+", default=MODELS)
    runs.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), metavar="NAME")
    runs.add_argument("--threads", default="1")
    for flag, default in [("rounds", 3), ("episodes", 148), ("epochs", 6), ("generations", 20), ("pretrain-updates", 200)]:
        runs.add_argument(f"--{flag}", type=int, default=default)
    commands.add_parser("table").add_argument("rows")
    options = parser.parse_args()
    if options.command == "table":
        table(options.rows)
    else:
        run(options)


if __name__ == "__main__":
    main()
