"""Every exception of the package, and the exit code that the command line gives it."""

from __future__ import annotations


class GraphsecError(Exception):
    """Base of all errors. ``message`` says what is wrong, ``help`` what to do; lower case, no period."""

    exit_code = 5

    def __init__(self, message: str, *, help: str = "") -> None:  # noqa: A002 - the word users see
        super().__init__(message)
        self.message = message
        self.help = help

    def __str__(self) -> str:
        return f"{self.message}\nhelp: {self.help}" if self.help else self.message


class UsageError(GraphsecError):
    """The question cannot be understood: unknown verb, subject spelling, query id (exit 2)."""

    exit_code = 2


class ReaderGoneError(Exception):
    """Whoever reads standard output has closed it: the end of the work, and no failure."""


class InputError(GraphsecError):
    """No input usable for this question, or incomplete input under ``strict`` (exit 3)."""

    exit_code = 3


class LimitError(InputError):
    """A resource limit left nothing usable for this question (exit 4)."""

    exit_code = 4
