"""A connection and its life: its token sets, what may happen to them, failures and upkeep. Read `life` first.

`life` is the table of every transition, and `connection` the one type that goes by it. Nothing else sets a status.
There is no I/O. How a record is stored is in `storage`; what a server's answer means is in `oauth`.
"""
