"""What survives a crash: disk, journal, seals, snapshots, streams, and how a run is derived again from them."""
