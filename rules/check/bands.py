"""Decision bands must give every score from 0 to 1000 exactly one decision (WR320, WR321)."""

from collections.abc import Sequence

from config import marks
from rules.definitions import Band
from rules.reader import Findings

LOWEST, HIGHEST = 0.0, 1_000.0


def check(found: Sequence[tuple[Band, marks.Node]], findings: Findings) -> None:
    """Report gaps, overlaps and empty bands; their order in the file does not matter."""
    at = LOWEST
    parts = sorted(found, key=lambda pair: (pair[0].low, pair[0].high))
    for band, node in parts:
        if band.low >= band.high:
            findings.at("WR321", node, f"the band from {band.low:g} to {band.high:g} is empty")
            continue
        if band.low > at:
            findings.at(
                "WR320",
                node,
                f"no decision for scores from {at:g} to {band.low:g}",
                f"write from: {at:g}",
            )
        elif band.low < at:
            what = f"scores from {band.low:g} to {min(at, band.high):g} have two decisions"
            findings.at("WR321", node, what, f"write from: {at:g}")
        at = max(at, band.high)
    if at != HIGHEST:
        what = (
            f"no decision for scores from {at:g} to 1000" if at < HIGHEST else "bands end at 1000"
        )
        findings.at("WR320", parts[-1][1], what, "write to: 1000")
