"""What a run could not read, and what its data were like."""

from collections.abc import Mapping
from typing import Any

from replay.report import units
from replay.report.counting import (
    Day,
)
from replay.report.gather import Gathered
from replay.report.markup import (
    Column,
    Part,
    in_bar,
    n,
    note,
    section,
    table,
)


def dead_letters(whole: Day, found: Gathered) -> Part:
    reasons = [
        (reason, units.count(many))
        for reason, many in sorted(whole.dead_letters.items(), key=lambda p: (-p[1], p[0]))
    ]
    rows = [(str(seq), reason, place, what) for seq, reason, place, what in found.dead]
    if not reasons:
        return section("dead", "Dead letters", note("Every message could be read."))
    return section(
        "dead",
        "Dead letters",
        table(("reason", n("messages")), reasons),
        "<h3>The first of them</h3>",
        table((n("seq"), "reason", "place", "what"), rows),
    )


def data_quality(summary: Mapping[str, Any]) -> Part:
    title = "Data quality"
    quality = summary.get("quality")
    if not quality:
        return section("data", title, note("The run has left no figures about its data."))
    total = quality["transactions"]
    kinds = [
        (
            kind,
            *(
                units.count(counts[name])
                for name in ("read", "late", "dead", "duplicates", "unlinked")
            ),
        )
        for kind, counts in quality["messages"].items()
    ]
    ordered = sorted(
        quality["fields"].items(),
        key=lambda p: (-p[1]["invalid"] - p[1]["unseen"], -p[1].get("present", 0), p[0]),
    )
    fields = [
        (
            name,
            units.share(units.of(counts["present"], total)) if "present" in counts else units.NONE,
            in_bar(units.of(counts["present"], total) if "present" in counts else None, "c3"),
            units.count(counts["invalid"]),
            units.count(counts["unseen"]),
        )
        for name, counts in ordered
    ]
    unknown = [
        (name, units.count(many))
        for name, many in sorted(quality["unknown_fields"].items(), key=lambda p: (-p[1], p[0]))
    ]
    columns = ("kind of message", n("read"), n("late"), n("dead"), n("repeated"), n("unlinked"))
    heads = ("field", n("present"), Column(""), n("invalid"), n("unexpected value"))
    return section(
        "data",
        title,
        table(columns, kinds, caption=f"Feed `{quality['feed']}`.", empty="No message was read."),
        "<h3>Fields of transactions</h3>",
        table(heads, fields, empty="No field was read."),
        "<h3>Fields that the schema does not know</h3>",
        table(("field", n("messages")), unknown, empty="None."),
    )
