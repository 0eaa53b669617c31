"""What Gatehouse does, one module for each thing: start, bind, complete, vend, refresh, revoke, sweep, rescue, list.

A use case reads, decides by the types of `grant`, asks the provider, and writes. It knows no event, no page and no log.
How a token response is stored, with its fallbacks, is in `committing`. What all of them are given, `services` makes.
"""
