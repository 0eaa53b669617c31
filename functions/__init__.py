"""The Lambda functions, one module each: `Handler: functions.NAME.handler`. What they share is in `web` and `vault`."""

import gc
import sys

# Under Lambda's runtime client a function is being loaded, and the tens of thousands of objects that it loads stay.
# Collecting garbage among them is a twentieth of a cold start. `web.handlers` turns the collector on afterwards.
if "awslambdaric" in sys.modules:
    gc.disable()
    # CPython keeps its stack in chunks of 16 KB, and code that calls across the end of a chunk allocates and frees the
    # next one with each call. urllib3 compiles large patterns when it is loaded: that takes 7 ms, but up to 25 if the
    # stack of the imports above it happens to end there. Every function needs it, so it is loaded here, where the stack
    # is still short.
    import urllib3.util.url  # noqa: F401
