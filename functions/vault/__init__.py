"""The vault: six packages. Each imports only from those below it, which `tests/test_layers.py` checks.

From the top: `usecases`, `storage`, `oauth`, `provider`, `grant`, `base`. `services` puts them together, and `settings`
is the only reader of the environment. Begin with `grant/life.py`, the life of a connection.
Nothing here knows of Lambda events, HTTP responses to a browser, or pages: those are in `functions/web/`.
A warning goes to the logger `gatehouse`; `functions/web/log.py` says how it is written.
"""
