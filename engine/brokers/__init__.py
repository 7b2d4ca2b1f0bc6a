"""Where messages come from and go to; the only rooms that know a broker or a file format."""
