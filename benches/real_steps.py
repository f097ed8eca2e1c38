#!/usr/bin/env python3
"""Dyna (`train-world-model --learn-from-real`) beside PPO (`train-agent`) at about equal real steps.

    python3 benches/real_steps.py run GRAPHOPT FOLDER ROWS.csv [--seeds N...] [--models NAME...]
    python3 benches/real_steps.py table ROWS.csv

Five rounds of 16 real episodes and eight updates of planning by rollouts of 33x3 in the dream; PPO has as many steps, in multiples of
1,024. Both are judged by their likeliest episode. A row that is there already is not made again.
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
from collections import defaultdict
from pathlib import Path

from rows import Rows, last_numbers

MODELS = ["nasrnn_4", "squeezenet1_1", "inception_pair", "attention_heads", "resnext_stage", "bert_2_layers"]
FIELDS = ["model", "method", "seed", "real_steps", "start_us", "search_us", "likeliest_us", "best_met_us", "train_seconds"]
DYNA, PPO = "dyna 33x3", "ppo"
HORIZON = 24
ROLLOUT = 1024
FLAGS = "--cold-start --controller ppo --rollout-shape 33x3 --learn-from-real --rounds 5 --episodes 16 --epochs 6 --generations 8"


def output(command):
    environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
    run = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, env=environment)
    return json.loads(run.stdout)


def dyna(options, model, seed):
    out = Path(options.folder) / f"{model}-dyna-{seed}"
    begin = time.time()
    command = [options.graphopt, "train-world-model", model, "--out", out, "--seed", seed, "--device", "cpu", "--json"]
    result = output([*command, "--horizon", HORIZON, *FLAGS.split()])
    (own,) = result["models"]
    likeliest = own["start_us"] * math.exp(-last_numbers(out, "return")["true_candidates"])
    return {"real_steps": result["real_steps"], "start_us": own["start_us"], "search_us": own["search_us"],
            "likeliest_us": likeliest, "best_met_us": own["best_us"], "train_seconds": round(time.time() - begin, 1)}


def ppo(options, model, seed, steps):
    out = Path(options.folder) / f"{model}-ppo-{seed}"
    steps = max(1, round(steps / ROLLOUT)) * ROLLOUT
    begin = time.time()
    train = [options.graphopt, "train-agent", model, "--out", out, "--seed", seed, "--device", "cpu", "--json"]
    output([*train, "--horizon", HORIZON, "--total-timesteps", steps])
    seconds = time.time() - begin
    search = [options.graphopt, "evaluate", model, "--json", "--agent", out / "agent.safetensors"]
    (found,) = output([*search, "--methods", "ppo-greedy", "--budget", HORIZON, "--seeds", 1])["runs"]
    return {"real_steps": steps, "start_us": found["start_us"], "likeliest_us": found["best_us"], "train_seconds": round(seconds, 1)}


def run(options):
    rows = Rows(options.rows, FIELDS, ["model", "method", "seed"])
    for seed in options.seeds:
        for model in options.models:
            if (model, DYNA, seed) not in rows:
                rows.add({**dyna(options, model, seed), "model": model, "method": DYNA, "seed": seed})
            with open(options.rows, encoding="utf-8") as file:
                own = [r for r in csv.DictReader(file) if (r["model"], r["method"], r["seed"]) == (model, DYNA, str(seed))]
            if (model, PPO, seed) not in rows:
                rows.add({**ppo(options, model, seed, int(own[0]["real_steps"])), "model": model, "method": PPO, "seed": seed})
            print(model, seed, file=sys.stderr)


def table(path):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    best = defaultdict(lambda: math.inf)
    for row in rows:
        reached = [float(row[key]) for key in ("search_us", "likeliest_us", "best_met_us") if row[key]]
        best[row["model"]] = min(best[row["model"]], *reached)
    cells = defaultdict(list)
    for row in rows:
        start = float(row["start_us"])
        share = (start - float(row["likeliest_us"])) / (start - best[row["model"]])
        cells[row["model"], row["method"]].append((share, float(row["real_steps"]), float(row["train_seconds"])))
    print("| model | Dyna | real steps | seconds | PPO | real steps | seconds | seeds |")
    print("| --- |" + " --- |" * 7)
    for model in dict.fromkeys(row["model"] for row in rows):
        line = []
        for method in (DYNA, PPO):
            shares, steps, seconds = zip(*cells[model, method])
            spread = f" ± {statistics.stdev(shares):.3f}" if len(shares) > 1 else ""
            line += [f"{statistics.fmean(shares):.3f}{spread}", f"{statistics.fmean(steps):,.0f}", f"{statistics.fmean(seconds):.0f}"]
        print(f"| {model} | " + " | ".join([*line, str(len(cells[model, DYNA]))]) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    runs = commands.add_parser("run")
    runs.add_argument("graphopt")
    runs.add_argument("folder")
    runs.add_argument("rows")
    runs.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    runs.add_argument("--models", nargs="+", default=MODELS)
    commands.add_parser("table").add_argument("rows")
    options = parser.parse_args()
    if options.command == "table":
        table(options.rows)
    else:
        run(options)


if __name__ == "__main__":
    main()
