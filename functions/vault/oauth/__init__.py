"""The protocol: authorization requests and responses, requests to a provider, and what its answers mean.

Client authentication, ID tokens and issuers' metadata are here, too. Only `outbound` and `wire` open connections, and
nothing here stores anything. What an answer makes of a connection is in `grant`, when to send what in `usecases`.
"""
