"""The vault. Six packages, each of which imports only from those below it; `tests/test_layers.py` holds that.

`services` puts everything together, and is the one reader of the environment. Below it, from the top:
`usecases`, `storage`, `oauth`, `provider`, `grant`, `base`. Begin with `grant/life.py`, the life of a connection.
Nothing here knows of Lambda events, HTTP responses to a browser, pages or log lines: those are in `functions/web/`.
"""
