"""The rule language as a library: read, check, compile and evaluate over columns."""
