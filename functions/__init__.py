"""The Lambda functions, one module each: `Handler: functions.NAME.handler`. What they share is in `web` and `vault`."""

import gc
import sys

# Under Lambda's runtime client a function is being loaded, and what is loaded stays: tens of thousands of objects. To
# look for garbage among them is a twentieth of a cold start. `web.edge` has it looked for again when all is ready.
if "awslambdaric" in sys.modules:
    gc.disable()
