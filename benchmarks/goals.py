"""The table of design.md, section 6: what was to be reached, what was found, and which file of results says so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TITLE = "The numbers to reach"
ABOUT = (
    "Section 6 of the design asks for these, first the one and then the other; what was found stands in the section of "
    "each bench below, with workload, machine and peers. Reached is the last of the two that the figure meets."
)


@dataclass(frozen=True, slots=True)
class Goal:
    """One number to reach.

    first, then : what was asked for, `first` 0 where nothing was; more is better if `then` is more than `first`
    bench       : whose result holds it
    find        : result -> figure; None if this result has none
    """

    what: str
    first: float
    then: float | None
    unit: str
    bench: str
    find: Callable[[Any], float | None]

    def met(self, found: float, goal: float) -> bool:
        is_more = self.then is None or self.then > self.first
        return found >= goal if is_more else found <= goal

    def reached(self, found: float) -> str:
        """`first`, `then` or `no`."""
        if self.then is not None and self.met(found, self.then):
            return "then"
        return "first" if self.first and self.met(found, self.first) else "no"


def limit(what: str) -> Callable[[Any], float | None]:
    """The figure of a row of `limits`."""
    return lambda result: next((r["found"] for r in result["limits"] if r["what"] == what), None)


def rules_at(rows: int) -> Callable[[Any], float | None]:
    """Microseconds an event of 50 plain rules in batches of so many rows."""

    def find(result: Any) -> float | None:
        found = (r for r in result["rows"] if r["rules"] == "plain" and r["rows"] == rows)
        return next((r["us_per_event"] for r in found), None)

    return find


def command(name: str) -> Callable[[Any], float | None]:
    """Seconds that a command takes."""
    return lambda result: next((r["seconds"] for r in result["rows"] if r["command"] == name), None)


def reload_worst(beginning: str) -> Callable[[Any], float | None]:
    """The worst of the limits of a reload that begin so."""

    def find(result: Any) -> float | None:
        found = [r["found"] for r in result["limits"] if r["what"].startswith(beginning)]
        return max(found, default=None)

    return find


GOALS = (
    Goal(
        "throughput, NDJSON in to decisions on disk, one process on one core",
        40_000, 100_000, "tx/s", "canonical", lambda r: r["median"]["canonical"]["tx_per_second"],
    ),
    Goal(
        "against the obvious Python build, same features, same rules",
        12, 30, "times", "canonical", lambda r: r["peers"][0]["times"],
    ),
    Goal(
        "latency from arrival to durable decision, open loop at 5,000 tx/s: p99",
        5, 1, "ms", "latency", limit("p99 at 5,000 tx/s, disk, ms"),
    ),
    Goal("the same: p99.9", 20, 5, "ms", "latency", limit("p99.9 at 5,000 tx/s, disk, ms")),
    Goal(
        "the same on a file system in memory, where a sync costs nothing: p99",
        5, 1, "ms", "latency", limit("p99 at 5,000 tx/s, memory, ms"),
    ),
    Goal("50 rules of 3 clauses, batch of 1", 4, 2.5, "us/event", "rules", rules_at(1)),
    Goal("the same, batch of 16", 1, 0.4, "us/event", "rules", rules_at(16)),
    Goal("the same, batch of 64", 0.5, 0.2, "us/event", "rules", rules_at(64)),
    Goal(
        "accepted pack to first decision under it, 500 rules",
        250, 50, "ms", "reload", reload_worst("accepted to live"),
    ),
    Goal("the same: p99.9 more than in calm windows", 20, 5, "ms", "reload", reload_worst("p99.9 around")),
    Goal(
        "memory, 1,000,000 accounts, 40 features over 5 keys: an account",
        3_000, 1_500, "bytes", "scale", limit("bytes an account"),
    ),
    Goal(
        "the same: a retained event over all keys",
        220, 120, "bytes", "scale", limit("bytes a retained event, over all keys"),
    ),
    Goal("the same: a distinct value kept", 60, 40, "bytes", "scale", limit("bytes a distinct value kept")),
    Goal(
        "restart from a snapshot of 1,000,000 accounts",
        10, 2, "s", "durability", limit("restart to first decision, s"),
    ),
    Goal(
        "verify a day (re-derive and compare)",
        1, 2, "times replay", "durability", limit("verify, times the speed of the replay"),
    ),
    Goal(
        "Kafka to Kafka, one worker, against a plain Faust agent",
        10, None, "times", "cluster", limit("worker, times the better plain agent, at least"),
    ),
    Goal("the same", 0, 50_000, "tx/s", "cluster", limit("worker, Kafka to Kafka, tx/s, at least")),
    Goal("`weir --help`", 1.5, 0.5, "s", "start", command("weir --help")),
    Goal("`weir rules check` of the pack that ships", 1.5, 0.5, "s", "start", command("weir rules check")),
    Goal(
        "`weir run`, kernels from the cache, on nothing to read",
        1.5, 0.5, "s", "start", command("weir run, nothing to read"),
    ),
)  # fmt: skip


def rows(results: dict[str, Any]) -> list[list[str]]:
    """The table: what, first, then, found, reached, where it stands."""
    made = []
    for goal in GOALS:
        result = results.get(goal.bench)
        found = None if result is None else goal.find(result)
        shown, reached = "not measured", ""
        if found is not None:
            shown = f"{number(found)} {goal.unit}" + (" (smoke)" if result["is_smoke"] else "")
            reached = "" if result["is_smoke"] else goal.reached(found)
        made.append(
            [
                goal.what,
                number(goal.first) if goal.first else "",
                "" if goal.then is None else number(goal.then),
                shown,
                reached,
                goal.bench,
            ]
        )
    return made


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    return f"{float(f'{value:.3g}'):,.10g}"
