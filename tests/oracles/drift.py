"""Drift of one column by lists and loops: every block kept whole, every share counted anew."""

import math


def bins(values, edges):
    """How many values lie below, at and between the edges, then how many are missing."""
    counts = [0] * (2 * len(edges) + 2)
    for v in values:
        if math.isnan(v):
            counts[-1] += 1
        else:
            counts[sum(e < v for e in edges) + sum(e <= v for e in edges)] += 1
    return counts


def index(now, before, floor=1e-3):
    shares = [
        (max(a / sum(now), floor), max(b / sum(before), floor))
        for a, b in zip(now, before, strict=True)
    ]
    return sum((p - q) * math.log(p / q) for p, q in shares)


def alarms(blocks, edges_of, threshold, apart=7, history=21):
    """Places of blocks that have drifted; `edges_of(k)` are the ranges drawn from block k."""
    found, edges, past = [], None, []
    for k, values in enumerate(blocks):
        if edges is None:
            edges, past = edges_of(k), []
            continue
        now = bins(values, edges)
        far = [past[-back] for back in range(apart, history + 1) if back <= len(past)]
        if far and min(index(now, each) for each in far) >= threshold:
            found.append(k)
            edges, past = edges_of(k), []
            continue
        past.append(now)
    return found
