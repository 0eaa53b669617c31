"""The house. Imports go downward only; `tests/test_layers.py` holds that.

Floor 0, no I/O: errors, fields, connection, tokens, responses, authorization, outcome, providers, sealing, timing.
Floor 1, one outside world each: aws, store (DynamoDB), cipher (KMS), registrations (Secrets Manager), outbound and
client (providers).
Floor 2, the use cases: starting, binding, completing, vending, revoking, listing.
Floor 3: settings, the one reader of the environment, which puts the house together.
"""
