"""The Lambda functions, one module each: `Handler: functions.NAME.handler`. What they share is in `web` and `vault`."""

import gc
import sys

# Under Lambda's runtime client a function is being loaded, and the tens of thousands of objects that it loads stay.
# Collecting garbage among them is a twentieth of a cold start. `web.handlers` turns the collector on afterwards.
if "awslambdaric" in sys.modules:
    gc.disable()
