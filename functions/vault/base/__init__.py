"""What every other package builds on: errors, field checks, records and time.

Nothing here knows of OAuth, of AWS or of a connection. There is no I/O: time comes in as an argument.
A kind of failure that callers can meet belongs in `errors`, and a check of a caller's input in `fields`.
"""
