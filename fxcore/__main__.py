"""`python -m fxcore`."""

import gc
import sys

# Most jobs last seconds, and a third of those went into looking for garbage among the modules that they import, once while importing
# and once more before they end.
gc.set_threshold(50_000, 20, 100)

from fxcore.cli import main  # noqa: E402

code = main()
gc.freeze()
sys.exit(code)
