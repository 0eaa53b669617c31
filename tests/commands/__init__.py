"""The shell commands of the documents, run as a person runs them who has copied them.

`blocks` finds them, `terminal` runs them in bash with nothing on the path but what is allowed, `aws_cli` reads the
arguments of `aws` by the rules that version 1 and 2 share, and `account` answers: the local stack, and what it lacks.
"""
