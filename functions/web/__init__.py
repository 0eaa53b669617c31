"""What is between an event and a use case: handlers, replies, pages and the log.

A handler turns a Lambda event into a request, and a result into an Invoke answer or an HTTP response. Errors become
answers here, in one place. What is decided about a connection is in `functions/vault/`.
"""
