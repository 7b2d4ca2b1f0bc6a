"""Save and load of models whose state is a handful of named arrays."""

from config.errors import StateError
from models.protocol import Given, State


def copied(own: State) -> State:
    """Return `own` with every array copied."""
    return {name: array.copy() for name, array in own.items()}


def put_back(own: State, given: Given, who: str) -> None:
    """Copy `given` into the arrays of `own`, in place; refuse names, shapes and types other than its own."""
    if own.keys() != given.keys():
        raise StateError(
            f"saved state of {who} holds {sorted(given)}, was expected to hold {sorted(own)}",
            why="it was saved by a model of another kind or by another version",
            fix="start without the snapshot and replay the journal, or run the version that wrote it",
        )
    for name, array in own.items():
        other = given[name]
        if other.shape != array.shape or other.dtype != array.dtype:
            raise StateError(
                f"saved `{name}` of {who} is {other.dtype}{list(other.shape)}, "
                f"was expected to be {array.dtype}{list(array.shape)}",
                why="the model's inputs or parameters changed since it was saved",
                fix="give the changed model a new name@version; it then starts empty",
            )
    for name, array in own.items():
        array[...] = given[name]
