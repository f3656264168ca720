"""What a user reads of an error: a line to act on, never a traceback."""

from __future__ import annotations

import errno

from fxcore.escaping import one_line, without_secrets

LONGEST = 2000
"""Letters of a message: a cell of a file that it quotes may have any number."""
REFUSED = (*(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO), *(errno.EROFS, errno.EACCES, errno.EPERM))
"""Errors of the system that a person can do something about: no room, a broken disk, no rights."""


class InputError(Exception):
    """Something the user gave is wrong; the message names file, row or key, what was expected, and what to do."""

    def __str__(self) -> str:
        """The message as one line that anybody may read: what it quotes may have breaks, control characters, and URLs with a key."""
        line = one_line(without_secrets(super().__str__()))
        return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"


def refusal(error: Exception) -> str | None:
    """What a person can do where the machine has no more memory or disk, or refuses a file; None for any other error."""
    if isinstance(error, OSError) and error.errno in REFUSED:
        where = error.filename or "a file"
        return f"{where}: refused by the system ({error.strerror}); make room or rights there, and start again"
    said = str(error)
    if isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said:
        first = (said.splitlines() or ["no more memory"])[0]
        return f"{first}; give the machine more, or set fewer threads or smaller batches, and start again"
    return None
