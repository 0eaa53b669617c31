"""AWS: the three tables (DynamoDB), sealing (KMS), registrations (Secrets Manager) and queues (SQS).

Each module has one outside world. Every write is conditional on what was read.
Nothing here decides what is to be written: `usecases` do, by the types of `grant`.
"""
