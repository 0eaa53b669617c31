"""Gatehouse's doors: one module for each Lambda function, over one shared house (`functions.vault`)."""

import gc
import sys

# Under Lambda's runtime client a function is being loaded, and what is loaded stays: tens of thousands of objects. To
# look for garbage among them is a twentieth of a cold start. `edge` has it looked for again when all is ready.
if "awslambdaric" in sys.modules:
    gc.disable()
