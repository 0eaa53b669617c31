"""`python -m gatehouse.cli` is the command `gatehouse`."""

from __future__ import annotations

import sys

from . import main

sys.exit(main())
