"""Flat JSON to columns in one pass, without a Python object a row; whatever is unusual is left to engine/decoding/."""
