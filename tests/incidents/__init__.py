"""Stories of grants that were lost, left alive or ended by mistake, each from a public report, and how they end here.

One file holds one kind of story. Each is told twice: by Gatehouse's handlers, and by a *naive keeper*, which does what
most code does: exchange, store, refresh when expired, revoke once. Both meet the same real small authorization server,
which knows which grants live. `python -m tests.incidents` prints how each story ends; `--write` puts that into
docs/comparison.md.
"""
