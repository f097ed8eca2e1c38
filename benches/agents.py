"""Trains an agent for each model and seed, and compares it with the classical searches.

    python3 benches/agents.py train GRAPHOPT FOLDER [--steps N] [--seeds N...] [--budget N] MODEL...
    python3 benches/agents.py search GRAPHOPT FOLDER [the same]
    python3 benches/agents.py zoo GRAPHOPT FOLDER --agents FILE... -- MODEL...
    python3 benches/agents.py dream GRAPHOPT FOLDER [--seeds N...] [--budget N] [--flags=FLAGS] [--kinds NAME...] MODEL...
    python3 benches/agents.py table FOLDER/runs.csv [MORE.csv...] > docs/results/agents.md

Every method may make BUDGET graphs (`train`). The searches without training run again with as many graphs as training and use
of the agent made together, and again for as long as the quickest training took (`search`, `--most-seconds` at most): what is learned must pay for its training.
`zoo` uses agents that were trained elsewhere as they are. `dream` trains a world model for each model and seed, in the ways of
DREAMS below, and searches by it; its rows, in FOLDER/dream.csv, say how many real steps and seconds that took, and FLAGS are
more flags of its trainings (`--flags="--rounds 2 --episodes 32"`). What is kept of a training is what was worth most behind any of
its rounds (`kept_round`); controllers search once more as they were behind the last (`dream, last`). Of several files of rows,
`table` makes one table.
Rows are added to FOLDER/runs.csv as they come; a row that is there already is not made again.
"""

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rows import Rows

# How a controller is trained in dreams, and the searches that are made with what came of it, by the names they have in rows.
DREAMS = {
    "dream": ([], {"dream": "dream", "mpc": "mpc", "gumbel": "gumbel, exact", "gumbel-dream": "gumbel, learned"}),
    "short": (["--controller", "ppo", "--rollout-shape", "100x1"], {"dream": "ppo in short dreams"}),
    "dyna": (["--controller", "ppo", "--rollout-shape", "33x3", "--learn-from-real"], {"dream": "dyna"}),
    "imitation": (["--controller", "imitation"], {"dream": "imitation of mpc"}),
}
FIELDS = ["model", "training_seed", "allowance", "method", "seed", "start_us", "best_us", "pops", "seconds"]


def run(options):
    folder = Path(options.folder)
    rows = Rows(folder / "runs.csv", FIELDS, ["model", "training_seed", "allowance"])

    def evaluate(model, seed, allowance, *flags):
        if (model, seed, allowance) in rows:
            return
        command = [options.graphopt, "evaluate", model, "--json", *flags]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for row in json.loads(out)["runs"]:
            rows.add({**row, "training_seed": seed, "allowance": allowance})

    if options.command == "train":
        for seed in options.seeds:
            for model in options.models:
                seconds = train(options, folder, model, seed)
                agent = str(run_folder(folder, model, seed) / "agent.safetensors")
                own = ["--agent", agent, "--budget", str(options.budget), "--seeds", "1", "--seed", str(seed)]
                evaluate(model, seed, "use alone", *own)
                print(f"{model} {seed}: trained in {seconds:.0f} s", file=sys.stderr)
        return
    if options.command == "zoo":
        for agent in options.agents:
            for model in options.models:
                own = ["--agent", agent, "--budget", str(options.budget), "--seeds", "1"]
                evaluate(model, Path(agent).parent.name or Path(agent).stem, "inference only", *own)
                print(f"{agent} {model}", file=sys.stderr)
        return
    for model in options.models:
        # The searches without training do not depend on its seed.
        clocks = [run_folder(folder, model, seed) / "seconds" for seed in options.seeds]
        quickest = min(float(clock.read_text()) for clock in clocks)
        seconds = f"{min(quickest, options.most_seconds):.1f}"
        graphs = str(options.steps + options.budget)
        evaluate(model, "-", "equal graphs", "--budget", graphs, "--seeds", str(len(options.seeds)))
        evaluate(model, "-", "equal time", "--budget", str(10**9), "--time", seconds, "--seeds", "1")


def dream(options):
    folder = Path(options.folder)
    fields = [*FIELDS, "real_steps", "dream_steps", "training_seconds", "kept_round"]
    rows = Rows(folder / "dream.csv", fields, ["model", "training_seed", "method"])
    for seed in options.seeds:
        for model in options.models:
            for kind in options.kinds:
                flags, searches = DREAMS[kind]
                if all((model, seed, name) in rows for name in searches.values()):
                    continue
                trained = train_dream(options, folder, model, kind, flags, seed)
                out = dream_folder(folder, model, kind, seed)
                last = {"dream": f"{searches['dream']}, last"}
                for file, names in [("agent.safetensors", searches), ("checkpoint/last.safetensors", last)]:
                    command = [options.graphopt, "evaluate", model, "--json", "--agent", out / file]
                    command += ["--budget", options.budget, "--seeds", 1, "--seed", seed, "--methods", ",".join(names)]
                    found = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
                    for row in json.loads(found)["runs"]:
                        named = {**row, **trained, "method": names[row["method"]]}
                        rows.add({**named, "training_seed": seed, "allowance": "use alone"})
                print(f"{model} {kind} {seed}: {trained['training_seconds']:.0f} s", file=sys.stderr)


def dream_folder(folder, model, kind, seed):
    return folder / "runs" / f"{Path(model).stem}-{kind}-{seed}"


def train_dream(options, folder, model, kind, flags, seed):
    """What the training took, now or before: real steps, dreamt steps, and seconds; and which round was kept."""
    out = dream_folder(folder, model, kind, seed)
    done = out / "trained.json"
    if not done.exists():
        begin = time.time()
        command = [options.graphopt, "train-world-model", model, "--out", out, "--seed", seed, "--json"]
        command += [*flags, *options.flags.split()]
        result = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
        taken = {key: result[key] for key in ("real_steps", "dream_steps", "kept_round")}
        done.write_text(json.dumps({**taken, "training_seconds": time.time() - begin}))
    return json.loads(done.read_text())


def run_folder(folder, model, seed):
    return folder / "runs" / f"{Path(model).stem}-{seed}"


def train(options, folder, model, seed):
    """Seconds that the training took, now or before."""
    out = run_folder(folder, model, seed)
    clock = out / "seconds"
    if not clock.exists():
        begin = time.time()
        command = [options.graphopt, "train-agent", model, "--out", out, "--seed", seed, "--total-timesteps", options.steps]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        clock.write_text(str(time.time() - begin))
    return float(clock.read_text())


def interquartile_mean(scores):
    scores = sorted(scores)
    cut = len(scores) // 4
    return statistics.fmean(scores[cut : len(scores) - cut])


def interval(by_model, draws=2000):
    """95 % bootstrap interval of the interquartile mean, drawn within each model (Agarwal et al. 2021)."""
    generator = random.Random(0)
    means = []
    for _ in range(draws):
        drawn = [generator.choice(scores) for scores in by_model.values() for _ in scores]
        means.append(interquartile_mean(drawn))
    means.sort()
    return means[int(0.025 * draws)], means[int(0.975 * draws)]


def table(paths):
    rows = [row for path in paths for row in csv.DictReader(open(path))]
    models = list(dict.fromkeys(row["model"] for row in rows))
    best = {m: min(float(r["best_us"]) for r in rows if r["model"] == m) for m in models}

    def score(row):
        start = float(row["start_us"])
        return (start - float(row["best_us"])) / (start - best[row["model"]])

    columns = list(dict.fromkeys((row["method"], row["allowance"]) for row in rows))
    scores = {column: {} for column in columns}
    for row in rows:
        if float(row["start_us"]) - best[row["model"]] > 1e-6:
            scores[row["method"], row["allowance"]].setdefault(row["model"], []).append(score(row))
    allowances = {allowance for _, allowance in columns}
    titles = [method if len(allowances) == 1 else f"{method}, {allowance}" for method, allowance in columns]
    print("| model | start us | best known us | " + " | ".join(titles) + " |")
    print("| --- | --- | --- |" + " --- |" * len(columns))

    def cell(own):
        spread = f" ± {statistics.stdev(own):.3f}" if len(own) > 1 and max(own) - min(own) > 5e-4 else ""
        return f"{statistics.fmean(own):.3f}{spread}" if own else "-"

    for model in models:
        start = next(float(row["start_us"]) for row in rows if row["model"] == model)
        cells = " | ".join(cell(scores[column].get(model, [])) for column in columns)
        print(f"| {model} | {start:.1f} | {best[model]:.1f} | {cells} |")
    summaries = []
    for column in columns:
        low, high = interval(scores[column])
        everything = [s for own in scores[column].values() for s in own]
        summaries.append(f"{interquartile_mean(everything):.3f} [{low:.3f}, {high:.3f}]")
    print("| interquartile mean | | | " + " | ".join(summaries) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    for name in ("train", "search"):
        runs = commands.add_parser(name)
        runs.add_argument("graphopt")
        runs.add_argument("folder")
        runs.add_argument("--steps", type=int, default=60_000)
        runs.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
        runs.add_argument("--budget", type=int, default=2_000)
        # Trainings beside other work take longer than they need to.
        runs.add_argument("--most-seconds", type=float, default=float("inf"))
        runs.add_argument("models", nargs="+")
    zoo = commands.add_parser("zoo")
    zoo.add_argument("graphopt")
    zoo.add_argument("folder")
    zoo.add_argument("--budget", type=int, default=2_000)
    zoo.add_argument("--agents", nargs="+", required=True)
    zoo.add_argument("models", nargs="+")
    dreams = commands.add_parser("dream")
    dreams.add_argument("graphopt")
    dreams.add_argument("folder")
    dreams.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    dreams.add_argument("--budget", type=int, default=2_000)
    dreams.add_argument("--flags", default="")
    dreams.add_argument("--kinds", nargs="+", default=list(DREAMS), choices=list(DREAMS))
    dreams.add_argument("models", nargs="+")
    commands.add_parser("table").add_argument("rows", nargs="+")
    options = parser.parse_args()
    if options.command == "table":
        table(options.rows)
    elif options.command == "dream":
        dream(options)
    else:
        run(options)


if __name__ == "__main__":
    main()
