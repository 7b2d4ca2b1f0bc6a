"""Statistical models as a library: score columns, learn, explain, save; never data classes of the domain."""
