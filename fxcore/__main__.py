"""`python -m fxcore`."""

import sys

from fxcore.cli import main

sys.exit(main())
