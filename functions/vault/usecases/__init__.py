"""What Gatehouse does: start, bind, complete, confirm, import, vend, refresh, revoke, sweep, rescue, reseal, list.

A use case reads, decides with the types of `grant`, calls the provider, and writes. It knows no events and no pages.
Every token response is stored by `committing`, with its fallbacks. The parts of a use case are put together in
`services`.
"""
