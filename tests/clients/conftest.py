"""What the tests of the client share. They run against the wheel, installed: what it left out is not there."""

from __future__ import annotations

import os
import sys

from tests.clients import installed

if os.environ.get("GATEHOUSE_CLIENT") != "source":
    sys.path.insert(0, str(installed.packages()))
