"""Models that are fitted anew from time to time, by a process beside, so that every replay gets the same ones.

A model with `refit: {every, train, delay}` in models.yaml learns nothing label by label. Its story, over and over:

    T        core time reaches a multiple of `every`. Before the row that brings it is learned from, the training set is
             closed (schedule.py): transactions of `train` up to T - maturity with the verdicts known by now. The batch
             is cut there, so the set is the same however the stream was cut. Set and schedule are state of the core
    beside   the shell (desk.py) has a process (helper.py) run `models.boosted.fit`, while decisions go on
    T+delay  the core asks for what was fitted, and goes on with it from that very row. A replay waits for the answer; a
             live engine that has none goes on with the old fit, and asks again a `delay` later, until the next T
    record   each answer, also "not ready", stands in OUT/models/fits.ndjson (records.py) before the core has it, with
             the sha256 of the arrays beside it; an operational alert in the stream of alerts, which is sealed, tells it

So what decides is derived, not positioned: whoever derives the journal again (recovery, `weir audit verify`, bundles,
snapshots of a live engine) closes the same sets at the same rows, and reads the answers instead of fitting. A kill
between T and T + delay loses the work and nothing else: the set comes back with the core, and is fitted again.

    schedule.py   when, and to what: part of the core, without file and clock; it knows the port engine/ports.py: Fits
    desk.py       the port for an engine that runs
    records.py    OUT/models/: what was answered; the port for whoever derives it again
    helper.py     the process, `python -m engine.fits.helper`
"""
