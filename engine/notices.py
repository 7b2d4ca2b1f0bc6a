"""What a customer may be told, from the reasons of the pack: in English and Chinese, or a neutral sentence.

Where a reason says `tell: false` (suspected laundering), whoever speaks to the customer gets a sentence that warns
nobody, and neither the reason nor the rule that asked: they could be read out by mistake.
"""

from collections.abc import Mapping

from rules.definitions import Reason


def customer_words(reasons: Mapping[str, Reason], code: str) -> dict[str, object]:
    """`tell` and the sentences by language for the reason `code`; nothing where the pack has none."""
    reason = reasons.get(code)
    if reason is None or not reason.customer:
        return {}
    return {"tell": reason.tell, **dict(sorted(reason.customer.items()))}


def notice(reasons: Mapping[str, Reason], code: str, rule: str, template: str) -> dict[str, object]:
    """The parts of a `notify` that name why: all of them empty where the customer must not learn it."""
    words = customer_words(reasons, code)
    told: dict[str, object] = {"template": template, "reason": code, "rule": rule}
    known = reasons.get(code)
    if known is not None and not known.tell:
        told = dict.fromkeys(told)
        words = words or {"tell": False}
    return told | ({"customer": words} if words else {})
