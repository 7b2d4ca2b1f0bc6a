"""Everything that is odd in packs and still no error: what `weir rules check` adds to the findings of reading them.

    found = lint(pack.load(paths, schema), schema, as_of_us)

Reading a pack (rules/pack.py) finds what makes it unusable; here stands what an analyst wants to know before others
do: conditions that can never be true, copies, baselines that an attack raises, exceptions that expire. Packs with
errors are looked at as well, as far as they could be read. Each kind of check is a module of this folder with a
function `check`. Findings can be silenced where they stand (rules/check/allow.py), errors of reading cannot.
"""

from collections.abc import Callable, Collection, Iterable

from rules import lock, suppressions
from rules.check import allow, baselines, conditions, quotients, unused, whole
from rules.check.findings import Finding, ordered
from rules.check.memory import Memory
from rules.check.views import PackView
from rules.pack import Loaded
from rules.reader import Findings
from rules.types import SchemaLike

CHECKS = (conditions, quotients, baselines, unused, whole)


def lint(
    loaded: Loaded,
    schema: SchemaLike,
    as_of_us: int,
    *,
    used: Collection[str] = (),
    cost: Callable[[str], str] = lambda _: "",
    memory: Memory | None = None,
    further: Callable[[PackView], Iterable[Finding]] = lambda _: (),
) -> list[Finding]:
    """Return all findings about packs that were read, those of reading them included, by place.

    as_of_us : the day that dates are compared with, microseconds since 1970
    used     : names of features that somebody outside of the packs reads (models)
    cost     : says what the state of a feature takes, "38 MB"; "" when that is not known
    memory   : of whoever looks often: what was proven in earlier looks; it changes nothing but the time this takes
    further  : a check that is made where somebody asks for it (rules/check/cluster.py)
    """
    found = list(loaded.findings)
    if loaded.workshop is not None:
        view = PackView(loaded, schema, as_of_us, frozenset(used), cost, memory)
        for part in CHECKS:
            found += part.check(view)
        found += further(view)
        more = Findings()
        if loaded.pack is not None:
            lock.check(loaded, more)
        suppressions.over(loaded.workshop.suppressions, as_of_us, more)
        found += more.all
        found = allow.silenced(found, loaded.workshop.sources)
    return ordered(found)
