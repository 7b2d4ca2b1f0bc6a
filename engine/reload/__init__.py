"""Another configuration in a running engine: checked and compiled by a process beside it, swapped in between."""
