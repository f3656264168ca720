"""The one exception for bad input: a line the user can act on, never a traceback."""


class InputError(Exception):
    """Something the user gave is wrong; the message names file, row or key, what was expected, and what to do."""
