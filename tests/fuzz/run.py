"""Runs the fuzz test: `python -m tests.fuzz.run --long` prints a table per module."""

import argparse
import collections
import concurrent.futures
import pathlib
import sys
import tempfile
import threading
import time

from tests.fuzz import workers
from tests.fuzz.calls import CALLS
from tests.fuzz.cases import Case, cases_of, sample, share_of
from tests.fuzz.judge import VERDICTS


def all_cases(shared, chosen=""):
    """Returns the cases of every call whose name holds a text."""
    calls = [call for call in CALLS.values() if chosen in call.name or chosen == call.module]
    return [case for call in calls for case in cases_of(call, shared)]


def run(cases, shared, on_verdict=None, processes=1):
    """Runs cases and returns a list of `(Case, Verdict)`.

    Args:
        cases: List of `Case`.
        shared: Folder; each process makes the files there that many calls read.
        on_verdict: Function that is called with each case and its verdict. Defaults to none.
        processes: Number of processes that run at a time.
    """
    made, lock = [], threading.Lock()

    def keep(case, verdict):
        with lock:
            made.append((case, verdict))
            if on_verdict is not None:
                on_verdict(case, verdict)

    def run_part(number):
        # Files that two processes make at once would be half made when read.
        own = pathlib.Path(shared, str(number))
        own.mkdir(exist_ok=True)
        part = cases[number::processes]
        workers.run(part, keep, own, lambda case: CALLS[case.call].seconds)

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        list(pool.map(run_part, range(processes)))
    return made


def table(made):
    """Returns the table of the verdicts per module, as text."""
    counts = collections.defaultdict(collections.Counter)
    for case, verdict in made:
        for row in (CALLS[case.call].module, "total"):
            counts[row][verdict.kind] += 1
    lines = [f"{'module':<14}{'calls':>8}" + "".join(f"{kind:>9}" for kind in VERDICTS)]
    rows = sorted(set(counts) - {"total"})
    for row in [*rows, "total"]:
        numbers = "".join(f"{counts[row][kind]:>9,}" for kind in VERDICTS)
        lines.append(f"{row:<14}{counts[row].total():>8,}{numbers}")
    share = counts["total"]["obscure"] / max(1, counts["total"].total())
    return "\n".join([*lines, f"obscure: {share:.2%}"])


def main():
    """Runs the command; returns 1 if a call was silent, crashed or hung."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="all cases, not a sample")
    parser.add_argument(
        "--fraction",
        type=float,
        default=1.0,
        help="with --long, the share of the values of each argument, drawn with the seed",
    )
    parser.add_argument("--processes", type=int, default=1, help="processes at a time")
    parser.add_argument("--count", type=int, default=300, help="cases of the sample")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--only", default="", help="calls whose name holds this, or a module")
    parser.add_argument("--case", nargs=3, metavar=("CALL", "ARGUMENT", "VALUE"), help="replay one")
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        help="file for the table and what wasn't clear, written as it goes",
    )
    parser.add_argument("--list", nargs="*", default=["obscure", "silent", "crash", "hang"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as shared:
        if options.case:
            cases = [Case(*options.case)]
        else:
            cases = all_cases(shared, options.only)
            if options.long:
                cases = share_of(cases, options.fraction, options.seed)
            else:
                cases = sample(cases, options.count, options.seed)
        started = time.monotonic()
        lines, verdicts = [], []

        def on_verdict(case, verdict):
            verdicts.append((case, verdict))
            if verdict.kind in options.list or options.case:
                lines.append(f"{verdict.kind:<8} {case}: {' '.join(verdict.text.split())}")
            if options.output and not len(verdicts) % 200:
                options.output.write_text("\n".join([table(verdicts), *lines, ""]))

        made = run(cases, shared, on_verdict, options.processes)
    if options.output:
        options.output.write_text("\n".join([table(made), *lines, ""]))
    else:
        print("\n".join(lines))
    print(table(made))
    print(f"{len(made):,} calls in {time.monotonic() - started:.0f} s")
    return int(any(verdict.kind in ("silent", "crash", "hang") for _, verdict in made))


if __name__ == "__main__":
    sys.exit(main())
