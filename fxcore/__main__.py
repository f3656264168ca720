"""`python -m fxcore`."""

import gc
import signal
import sys

# Most jobs last seconds, and a third of those went into looking for garbage among the modules that they import, once while importing
# and once more before they end.
gc.set_threshold(50_000, 20, 100)

# While there is nothing to tidy up, Ctrl-C ends the job as it ends any program, without a traceback of what was being imported.
tidy = signal.getsignal(signal.SIGINT)
if tidy is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from fxcore.cli import main  # noqa: E402

signal.signal(signal.SIGINT, tidy)
code = main()
gc.freeze()
sys.exit(code)
