"""`weir generate`: a recording of a generated bank, or a page about a recording that is there."""

import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path

from config.errors import ConfigError
from engine.clock import SystemClock
from engine.progress import Progress
from replay.bank.describe import describe, page
from replay.bank.truth import Truth, truth_path
from replay.bank.typologies import TYPOLOGIES
from replay.generate import accounts_of, generate


def run(arguments: Namespace) -> int:
    """Run the command; what was written is said on standard error, a page goes to standard output."""
    if arguments.describe is not None:
        print(page(describe(arguments.describe)))
        return 0
    if arguments.out is None:
        raise ConfigError(
            "`--out` is missing",
            "weir generate",
            "a recording needs a file to go to",
            "add `--out bank.ndjson`, or describe a recording with `--describe FILE`",
        )
    accounts = size_of(arguments)
    clock = SystemClock()
    began_ns = clock.monotonic_ns()
    with Progress(arguments.days, " days") as bar:
        truth = generate(
            arguments.out,
            accounts=accounts,
            days=arguments.days,
            rate=arguments.rate,
            seed=arguments.seed,
            start=arguments.start,
            fraud_share=arguments.fraud_share,
            out_of_order=arguments.out_of_order,
            late=arguments.late,
            duplicates=arguments.duplicates,
            bad_lines=arguments.bad_lines,
            progress=lambda n: bar.advance(1, f"{n:,} messages a day"),
        )
    print(summary(arguments.out, truth, (clock.monotonic_ns() - began_ns) / 1e9), file=sys.stderr)
    return 0


def size_of(arguments: Namespace) -> int:
    """How many accounts are asked for, directly or as customers."""
    if arguments.accounts is not None:
        return int(arguments.accounts)
    return accounts_of(arguments.customers)


def summary(path: Path, truth: Truth, seconds: float) -> str:
    """What was written: messages by kind, how fast, the share of fraud, attempts by typology and variant."""
    n, of = truth.n_lines, max(truth.n_transactions, 1)
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in truth.n_by_kind.items() if count)
    fraud = sum(not mark.is_honest for mark in truth.marks)
    found: dict[bool, dict[str, Counter[str]]] = {False: {}, True: {}}
    for marks in truth.attempts.values():
        first = marks[0]
        found[first.is_honest].setdefault(first.typology, Counter())[first.variant] += 1
    lines = [
        f"recording    {path}: {n:,} messages in {seconds:,.1f} s, {n / max(seconds, 1e-9):,.0f} a second",
        f"messages     {kinds}",
        f"truth        {truth_path(path)}: {fraud:,} fraudulent transactions, {fraud / of:.3%}",
    ]
    attempts = [f"{name} {_variants(by)}" for name, by in sorted(found[False].items())]
    alike = [f"{name} {by.total()}" for name, by in sorted(found[True].items())]
    lines += _wrapped("attempts", attempts) + _wrapped("look-alikes", alike)
    if truth.marks:
        nowhere = [
            f"{typology.name} {variant.name}"
            for typology in TYPOLOGIES
            for variant in typology.variants
            if variant.name not in found[False].get(typology.name, Counter())
        ]
        lines += _wrapped("no room for", nowhere)
    return "\n".join(lines)


def _variants(by: Counter[str]) -> str:
    return "+".join(str(by[variant]) for variant in ("easy", "hard"))


def _wrapped(head: str, items: tuple[str, ...] | list[str]) -> list[str]:
    """Some items a line, below one head; nothing without items."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) < 118:
            lines[-1] += f", {item}"
        else:
            lines.append(f"{'' if lines else head:<13}{item}")
    return [f"{line}," for line in lines[:-1]] + lines[-1:]
