"""Reports that people look at: a page about a whole run, and the risk report of one business day for management."""
