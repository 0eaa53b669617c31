"""The house. Imports go downward only; `tests/test_layers.py` holds that.

Floor 0, no I/O: record (what they are made by), errors, fields, failure, life (what becomes of a connection and its
token sets), stored_set (one of them), attempting (what an attempt to revoke one comes to), belief (of a dead grant),
connection, earlier (records and messages of before), token_set, tokens, obtained (what may be written over what),
upkeep, responses, refusals, meanings, reading and masking (a server's answers), dialect (requests to it),
authorization, cookies and authorization_response (what a browser brings back), last_attempt (to authorize), outcome,
scopes, providers, assembling (a registration of its layers), issued (under which one), vocabulary, checking (what is
wrong with a registration) and hints (what may have been meant), rules (what refusals mean at one provider), tenants,
addresses, assertion, id_token, sealing, timing, attributes.
Floor 1, one outside world each: aws, store and shared (DynamoDB), cipher (KMS), registrations (Secrets Manager),
discovery and issuer_keys (issuers), queues (SQS), signer (KMS), outbound, wire, slots, authentication and client
(providers).
Floor 2, the use cases: starting, binding, completing, vending, revoking, sweeping, background (what a sweep has
queued), unrefreshable (what is said of what cannot be), rescuing, listing, refreshing (one refresh under its lease),
looking (whether a grant is dead), accounts (whose tokens are), and committing (the ladder that every token response
goes down).
Floor 3: settings, the one reader of the environment, which puts the house together.
"""
