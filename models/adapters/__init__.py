"""Estimators of other libraries as models of ours: one module a library, imported only when a configuration names it.

What an adapter adds: inputs in any unit brought near +-1, missing values, rows in order whatever the batches, scores
that rise with suspicion, and state that a snapshot can hold. What it cannot add is speed, an explanation, or bits that
are the same on every CPU.
"""
