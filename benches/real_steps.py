#!/usr/bin/env python3
"""World models, PPO and searches with about as many real steps each.

    python3 benches/real_steps.py run GRAPHOPT FOLDER ROWS.csv [--seeds N...] [--models NAME...] [--horizon N] [--methods NAME...]
                                      [--flags="..."]
    python3 benches/real_steps.py table ROWS.csv

A world model is trained by `train-world-model --cold-start` with --flags, and its controller judged by its likeliest episode behind
the last round; PPO (`train-agent`) has as many steps as the first method, in multiples of 1,024, or 60,000, and is judged in the
same way. Searches make as many graphs, and are judged by the best of them. A row that is there already is not made again.
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

from rows import Rows, last_numbers, mean_and_spread

MODELS = ["nasrnn_4", "squeezenet1_1", "inception_pair", "attention_heads", "resnext_stage", "bert_2_layers"]
FIELDS = ["model", "method", "seed", "real_steps", "start_us", "search_us", "reached_us", "best_met_us", "seconds"]
WORLD_MODELS = {
    "dyna 33x3": "--controller ppo --rollout-shape 33x3 --learn-from-real",
    "evolution": "--controller cma",
    "imitation": "--controller imitation",
}
PPO = {"ppo": None, "ppo 60,000": 60_000}
SEARCHES = ["greedy", "backtracking", "portfolio", "random"]
SEEDLESS = {"greedy", "backtracking", "portfolio"}
ROLLOUT = 1024
FLAGS = "--rounds 5 --episodes 16 --epochs 6 --generations 8"


def output(command):
    environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
    run = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, env=environment)
    return json.loads(run.stdout)


def world_model(options, method, model, seed):
    out = Path(options.folder) / f"{model}-{method.replace(' ', '-')}-{seed}"
    begin = time.time()
    command = [options.graphopt, "train-world-model", model, "--out", out, "--seed", seed, "--device", "cpu", "--json"]
    flags = [*WORLD_MODELS[method].split(), *options.flags.split()]
    result = output([*command, "--cold-start", "--horizon", options.horizon, *flags])
    (own,) = result["models"]
    reached = own["start_us"] * math.exp(-last_numbers(out, "return")["true_candidates"])
    return {"real_steps": result["real_steps"], "start_us": own["start_us"], "search_us": own["search_us"],
            "reached_us": reached, "best_met_us": own["best_us"], "seconds": round(time.time() - begin, 1)}


def ppo(options, method, model, seed, steps):
    out = Path(options.folder) / f"{model}-{method.replace(' ', '-')}-{seed}"
    steps = PPO[method] or max(1, round(steps / ROLLOUT)) * ROLLOUT
    begin = time.time()
    train = [options.graphopt, "train-agent", model, "--out", out, "--seed", seed, "--device", "cpu", "--json"]
    output([*train, "--horizon", options.horizon, "--total-timesteps", steps])
    seconds = time.time() - begin
    search = [options.graphopt, "evaluate", model, "--json", "--agent", out / "agent.safetensors"]
    (found,) = output([*search, "--methods", "ppo-greedy", "--budget", options.horizon, "--seeds", 1])["runs"]
    return {"real_steps": steps, "start_us": found["start_us"], "reached_us": found["best_us"], "seconds": round(seconds, 1)}


def search(options, method, model, seed, steps):
    command = [options.graphopt, "evaluate", model, "--json", "--methods", method, "--budget", steps, "--seed", seed, "--seeds", 1]
    (found,) = output(command)["runs"]
    return {"real_steps": found["pops"], "start_us": found["start_us"], "reached_us": found["best_us"],
            "seconds": round(found["seconds"], 1)}


def one(options, method, model, seed, steps):
    if method in WORLD_MODELS:
        return world_model(options, method, model, seed)
    return (ppo if method in PPO else search)(options, method, model, seed, steps)


def run(options):
    first = options.methods[0]
    if first not in WORLD_MODELS:
        sys.exit(f"the first method says how many real steps all have: one of {', '.join(WORLD_MODELS)}")
    rows = Rows(options.rows, FIELDS, ["model", "method", "seed"])
    for seed in options.seeds:
        for model in options.models:
            for method in options.methods:
                if (model, method, seed) in rows or (method in SEEDLESS and seed != options.seeds[0]):
                    continue
                with open(options.rows, encoding="utf-8") as file:
                    taken = {tuple(r[k] for k in rows.key): int(r["real_steps"]) for r in csv.DictReader(file)}
                steps = taken.get((model, first, str(seed)))
                rows.add({**one(options, method, model, seed, steps), "model": model, "method": method, "seed": seed})
            print(model, seed, file=sys.stderr)


def table(path):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    best = defaultdict(lambda: math.inf)
    for row in rows:
        reached = [float(row[key]) for key in ("search_us", "reached_us", "best_met_us") if row[key]]
        best[row["model"]] = min(best[row["model"]], *reached)
    cells = defaultdict(list)
    for row in rows:
        start = float(row["start_us"])
        share = (start - float(row["reached_us"])) / (start - best[row["model"]])
        cells[row["model"], row["method"]].append((share, float(row["real_steps"]), float(row["seconds"])))
    print("| model | method | share of the gain | least | real steps | seconds | seeds |")
    print("| --- |" + " --- |" * 6)
    for (model, method), runs in cells.items():
        shares, steps, seconds = zip(*runs)
        line = [model, method, mean_and_spread(shares), f"{min(shares):.3f}", f"{statistics.fmean(steps):,.0f}",
                f"{statistics.fmean(seconds):.0f}", "-" if method in SEEDLESS else str(len(runs))]
        print("| " + " | ".join(line) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    runs = commands.add_parser("run")
    runs.add_argument("graphopt")
    runs.add_argument("folder")
    runs.add_argument("rows")
    runs.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    runs.add_argument("--models", nargs="+", default=MODELS)
    runs.add_argument("--horizon", type=int, default=24)
    runs.add_argument("--methods", nargs="+", default=["dyna 33x3", "ppo"], choices=[*WORLD_MODELS, *PPO, *SEARCHES])
    runs.add_argument("--flags", default=FLAGS)
    commands.add_parser("table").add_argument("rows")
    options = parser.parse_args()
    if options.command == "table":
        table(options.rows)
    else:
        run(options)


if __name__ == "__main__":
    main()
