#!/usr/bin/env python3
"""M learned for time, controller for memory: against M from scratch for memory with the same real steps, and no M.

    python3 benches/transfer.py PROGRAM FOLDER ROWS.csv [--models nasrnn_4,inception_pair,squeezenet1_1] [--seeds 3]
                                [--objective memory] [-- more flags of train-world-model, such as --preset debug]

Runs `train-world-model` in FOLDER: for each model and seed a run for time, and from it `heads` and `all` (--refit), and
`scratch`, which has the same settings and plays as much as the run for time. `greedy` tries every rewrite and needs no seed. One
row for each run goes to ROWS.csv; runs that are in it already are not made again, and a run that was stopped goes on.
`time` is what the controller for time reaches of its own objective, in microseconds.
"""

import argparse
import json
import math
import os
import subprocess
import sys

from rows import Rows, last_numbers

COLUMNS = ["model", "seed", "method", "objective", "start", "greedy", "best_met", "controller", "controller_slots", "dreamt",
           "real_steps", "dream_steps", "seconds"]


def arguments():
    given, more = sys.argv[1:], []
    if "--" in given:
        at = given.index("--")
        given, more = given[:at], given[at + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("rows")
    parser.add_argument("--models", default="nasrnn_4,inception_pair,squeezenet1_1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--objective", default="memory")
    return parser.parse_args(given), more


# Flags that say what M is and what is played, which another run's M brings along.
OF_SOURCE = ("--rounds", "--horizon", "--hidden", "--components", "--pretrain-updates", "--encoder-from")


def without(names, flags):
    left = []
    while flags:
        taken = 2 if flags[0] in names else 0
        left += [] if taken else flags[:1]
        flags = flags[taken or 1:]
    return left


def train(program, out, flags):
    """Runs the command; its report and the seconds that it took this time."""
    command = [program, "train-world-model", "--out", out, "--device", "cpu", "--json", *flags]
    before = os.times().elapsed
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout), os.times().elapsed - before


def row(model, seed, method, report, seconds):
    """What the last controller reaches."""
    (found,) = report["models"]
    returns = last_numbers(report["out"], "return")
    start = found.get("start", found.get("start_us"))
    reached = lambda way: start * math.exp(-returns[way])
    return {
        "model": model, "seed": seed, "method": method, "objective": report["objective"], "start": start,
        "greedy": found.get("greedy", found.get("search_us")), "best_met": found.get("best", found.get("best_us")),
        "controller": reached("true_candidates"), "controller_slots": reached("true_slots"), "dreamt": reached("predicted_slots"),
        "real_steps": report["real_steps"], "dream_steps": report["dream_steps"], "seconds": round(seconds, 1),
    }


def main():
    options, more = arguments()
    rows = Rows(options.rows, COLUMNS, ["model", "seed", "method"])
    objective = options.objective
    for seed in map(str, range(options.seeds)):
        for model in options.models.split(","):
            out = lambda method: os.path.join(options.folder, f"{model}-{method}-{seed}")
            common = ["--seed", seed, *more]
            given = ["--model-from", out("time"), "--objective", objective, *without(OF_SOURCE, common)]
            methods = {
                "time": [model, *common],
                "heads": [*given, "--refit", "heads"],
                "all": [*given, "--refit", "all"],
                "scratch": [model, "--objective", objective, *common],
            }
            for method, flags in methods.items():
                if (model, seed, method) in rows:
                    continue
                report, seconds = train(options.program, out(method), flags)
                rows.add(row(model, seed, method, report, seconds))
                print(model, seed, method, f"{seconds:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
