"""Incidents from public reports: grants that were lost, left alive or ended by mistake, and how each ends here.

One file holds one kind of incident. Each is played twice: with Gatehouse's handlers, and with a *naive keeper*, which
does what most code does: exchange, store, refresh when expired, revoke once. Both meet the same small authorization
server, which knows which grants are alive. `python -m tests.incidents` prints how each one ends; `--write` puts that
into docs/comparison.md.
"""
