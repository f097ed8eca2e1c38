"""Optimises every built-in model with the built program and writes a table: operators and measured time before and after.

    python3 benches/zoo.py target/release/graphopt [MODEL…] [-- FLAGS…] > benches/results/zoo.csv

Each row is one run of `graphopt optimise MODEL --dry-run --json`, which times the original and the result by turns in
libtorch and checks that they compute the same.
"""

import json
import subprocess
import sys


def main():
    program, *rest = sys.argv[1:]
    flags = rest[rest.index("--") + 1 :] if "--" in rest else []
    models = rest[: rest.index("--")] if "--" in rest else rest
    if not models:
        listed = json.loads(subprocess.run([program, "models", "--json"], check=True, capture_output=True).stdout)
        models = [entry["name"] for entry in (listed["models"] if isinstance(listed, dict) else listed)]
    print("model,nodes_before,nodes_after,estimate_before_us,estimate_after_us,chosen,original_us,chosen_us,speedup,low,high,passed,max_rel_error,search_seconds,pops")
    for model in models:
        run = subprocess.run([program, "optimise", model, "--dry-run", "--json", *flags], capture_output=True, text=True)
        if run.returncode != 0:
            print(f"{model},failed: {run.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        report = json.loads(run.stdout)
        chosen = report["chosen"]
        rows = {row["from"]: row for row in chosen.get("measured", [])}
        taken, original = rows.get(chosen["from"], {}), rows.get("original", {})
        number = lambda row, key, digits: f"{row[key]:.{digits}f}" if key in row else ""
        print(
            model, report["nodes_before"], report["nodes_after"],
            f"{report['cost_before']['time_us']:.0f}", f"{report['cost_after']['time_us']:.0f}", chosen["from"],
            number(original, "median_us", 0), number(taken, "median_us", 0),
            number(taken, "speedup", 3), number(taken, "low", 3), number(taken, "high", 3),
            report["check"]["passed"], f"{report['check']['max_rel_error']:.1e}",
            f"{report['search']['seconds']:.2f}", report["search"]["pops"],
            sep=",", flush=True,
        )


if __name__ == "__main__":
    main()
