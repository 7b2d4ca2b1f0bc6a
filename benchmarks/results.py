"""Run the benchmarks, keep what they found, and write the pages that show it.

    python -m benchmarks.results [--smoke] [NAME ...]      all of them, or those named: handbook quality rules ...
    python -m benchmarks.results --pages                   only write RESULTS.md and README.md anew

Each bench runs in a process of its own, one after the other. What it found is kept in benchmarks/results/NAME.json;
RESULTS.md and the part of README.md between the two markers are made of these files and of nothing else
(tests/style/test_results.py holds them to it). A smoke run shows that a bench runs: its figures are marked wherever
they stand, and never replace those of a real one.

How results stand on the pages: benchmarks/pages.py, sections.py and headlines.py.
"""

import argparse
import json
import subprocess
import sys
import time

from benchmarks import measuring, pages
from benchmarks.measuring import ROOT
from benchmarks.pages import FOLDER
from benchmarks.sections import SECTIONS


def run(name, is_smoke):
    """Run one bench; return its result, or None with the reason on standard error, and the exit status."""
    command = [sys.executable, "-m", f"benchmarks.bench_{name}", "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        command + ["--smoke"] * is_smoke, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        return None, done.returncode
    result = json.loads(done.stdout.splitlines()[-1])
    return {"bench": name, "took_s": round(time.perf_counter() - began, 1)} | result, 0


def keep(name, result, folder=FOLDER):
    """Write `result` unless it is a smoke run and a real one is there; return whether it was written."""
    path = folder / f"{name}.json"
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else result
    if result["is_smoke"] and not old["is_smoke"]:
        return False
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return True


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SECTIONS)}; all")
    parser.add_argument("--smoke", action="store_true", help="small sizes: do they run at all?")
    parser.add_argument("--pages", action="store_true", help="run nothing, write the pages anew")
    given = parser.parse_args(argv)
    unknown = sorted(set(given.names) - set(SECTIONS))
    if unknown:
        parser.error(f"there is no bench `{unknown[0]}`; there are {', '.join(SECTIONS)}")
    failed, began = [], time.perf_counter()
    for name in [] if given.pages else given.names or SECTIONS:
        print(f"== {name}", flush=True)
        result, status = run(name, given.smoke)
        if result is None:
            print(f"== {name}: {'skipped' if status == measuring.EXIT_MISSING else 'failed'}")
            failed += [name] if status != measuring.EXIT_MISSING else []
            continue
        kept = "" if keep(name, result) else "; a real run is on record, this one is not kept"
        print(f"{measuring.text(result)}\n== {name}: {result['took_s']:.0f} s{kept}", flush=True)
    pages.write()
    print(f"RESULTS.md and README.md written, {time.perf_counter() - began:.0f} s in all")
    if failed:
        print(f"error: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
