"""JSON to batches: decoder.py puts the parts together, and says what decode promises."""
