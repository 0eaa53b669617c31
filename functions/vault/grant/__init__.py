"""A connection and its life: its token sets, what can happen to them, failures and upkeep. Read `life` first.

`life` is the table of every transition, `connection` what a record holds. What happens has a function of its name, in
`consents`, `imports`, `refreshes`, `late_answers`, `revocations`, `another_key`; `transition` sets the status.
There is no I/O. How a record is stored is in `storage`; what a server's answer means is in `oauth`.
"""
