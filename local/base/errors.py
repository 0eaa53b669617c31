"""What can keep the stack from starting, each with a sentence for the person who started it."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot run; the text says what to do."""


class PortTakenError(StackError):
    """Somebody else listens on the wanted port."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"Port {port} is taken by another program. Stop that one, or choose another port: "
            f'make run ARGS="--port {port + 1}"'
        )


class RegistrationsError(StackError):
    """The file of registrations cannot be used."""


class TemplateError(StackError):
    """``template.yaml`` holds something that the stack cannot follow."""
