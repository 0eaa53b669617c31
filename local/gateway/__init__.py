"""What calls the functions: HTTP API routes, the Lambda Invoke API, the queues and the schedule, and what runs them.

`application` is the one port of the stack. `payload` has API Gateway's event format, `invoker` runs a function.
What the template declares comes from `aws`; what a person sees is in `pages`.
"""
