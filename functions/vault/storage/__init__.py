"""AWS: the three tables (DynamoDB), sealing (KMS), registrations (Secrets Manager) and queues (SQS).

Each table has a file: `connections`, `authorizations`, `shared`. Every write is conditional on what was read.
Nothing here decides what to write: `usecases` do that, with the types of `grant`.
"""
