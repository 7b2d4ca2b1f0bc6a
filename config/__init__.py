"""The ground floor: event schema, settings, errors and YAML reading; no logic about streams."""
