"""What the customers of the generated bank do anyway: one module for each kind of everyday life.

`today.py` holds what all kinds share: who is awake, where they are, what day it is. `everyday.py` puts a day together.
"""

from replay.bank.habits.everyday import Habits
from replay.bank.habits.travel import Trip

__all__ = ["Habits", "Trip"]
