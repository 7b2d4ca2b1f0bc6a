"""Lists of the random trees as the rules have them."""

from rules.definitions import ListDefinition, ListRow, Place
from tests.oracles import random_trees as trees

NOWHERE = Place("test", 1, 1)


def definition(name, kind, members):
    """A list of which a member is a text, or (text, from, until)."""
    rows = tuple(ListRow(m) if isinstance(m, str) else ListRow(*m) for m in members)
    is_dated = any(row.is_dated for row in rows)
    return ListDefinition(
        name,
        trees.TYPES["c0" if kind == "category" else "n0"],
        frozenset(row.value for row in rows),
        NOWHERE,
        rows=rows if is_dated else (),
        is_dated=is_dated,
    )


def definitions(lists):
    return {name: definition(name, *content) for name, content in lists.items()}
