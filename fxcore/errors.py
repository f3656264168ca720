"""The one exception for bad input: a line the user can act on, never a traceback."""

from fxcore.escaping import one_line, without_secrets

LONGEST = 2000
"""Letters of a message: a cell of a file that it quotes may have any number."""


class InputError(Exception):
    """Something the user gave is wrong; the message names file, row or key, what was expected, and what to do."""

    def __str__(self) -> str:
        """The message as one line that anybody may read: what it quotes may have breaks, control characters, and URLs with a key."""
        line = one_line(without_secrets(super().__str__()))
        return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
