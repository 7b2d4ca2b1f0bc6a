"""A whole bank to practise on: who lives there, what they do, what is done to them, and the recording of it."""
