"""Which rules the default search applies to each built-in model, as a table in Markdown.

    python3 benches/rules_used.py target/release/graphopt [FLAGS…] > docs/rules.md

Each row is one run of `graphopt optimise MODEL --dry-run --no-measure --json`: estimated costs, nothing timed.
"""

import collections
import json
import subprocess
import sys

HEAD = """# Which rules the models use

What the default search applies to each built-in model (estimated costs of a CPU, nothing timed), and what it gains by that
estimate. Written by `benches/rules_used.py`; `graphopt explain RULE` shows a rule with its proof. All are proved from the
axioms. Those whose name begins with `default-` were found by machine; with the rules written by hand alone, what such a row
gains is less, and every other row is the same (`benches/results/`).

| model | estimated time | rules, and how often |
| --- | --- | --- |"""


def run(program, *arguments):
    return json.loads(subprocess.run([program, *arguments, "--json"], check=True, capture_output=True).stdout)


def main():
    program, *flags = sys.argv[1:]
    print(HEAD)
    for model in run(program, "models")["models"]:
        report = run(program, "optimise", model["name"], "--dry-run", "--no-measure", *flags)
        times = collections.Counter(step["rule"] for step in report["applied"])
        rules = (f"`{name}` {count}" for name, count in sorted(times.items()))
        before, after = (report[key]["time_us"] for key in ("cost_before", "cost_after"))
        print(f"| {model['name']} | {100 * (after / before - 1):+.1f} % | {', '.join(rules) or 'none'} |", flush=True)


if __name__ == "__main__":
    main()
