"""The protocol: authorization requests and responses, requests to a provider, and what its answers mean.

Client authentication, ID tokens and issuers' metadata are here too. `outbound` and `wire` alone open connections.
Nothing here stores anything. What a connection becomes by an answer is in `grant`, and when to ask is in `usecases`.
"""
