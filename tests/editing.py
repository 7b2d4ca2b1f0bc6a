"""What an editor makes of a rule file, for tests of the JSON Schema."""

import re

from config import marks


def seen(node):
    """What an editor sees: YAML 1.2 gives plain scalars their types."""
    if isinstance(node, marks.MapNode):
        return {key.value: seen(value) for key, value in node.items()}
    if isinstance(node, marks.ListNode):
        return [seen(item) for item in node]
    if node.style:
        return node.value
    if re.fullmatch(r"[-+]?[0-9]+", node.value):
        return int(node.value)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", node.value):
        return float(node.value)
    return {"true": True, "false": False, "": None, "null": None, "~": None}.get(
        node.value, node.value
    )
