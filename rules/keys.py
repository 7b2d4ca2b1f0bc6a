"""Fields that name an entity or a kind of thing: what dedup, rollout and reports go by."""

from config import marks
from rules.check.findings import at_span
from rules.check.suggest import did_you_mean
from rules.reader import Findings
from rules.tree import CATEGORY, ID, Span
from rules.types import Scope


def key_field(node: marks.TextNode, name: str, findings: Findings, scope: Scope) -> str:
    """Return `name`, which stands somewhere in `node` and must be an id or category field; "" after a report."""
    column = scope.schema.columns.get(name)
    at = node.value.find(name)
    span = Span(at, at + len(name))
    if column is None:
        keys = [n for n, c in scope.schema.columns.items() if c.kind in (ID, CATEGORY)]
        findings.add(
            at_span("WR101", node, span, f'unknown field "{name}"', did_you_mean(name, keys))
        )
        return ""
    if column.kind not in (ID, CATEGORY):
        what = f"{name} is no id or category"
        findings.add(at_span("WR129", node, span, what, "a key names an entity or a kind of thing"))
        return ""
    return name
