"""How a command fails: one line on standard error, and an exit code that stays what it is."""

from __future__ import annotations

import json
import sys
from typing import Final

import attrs

from keyhier import errors
from keyhier.cli.remedies import at_the_command
from keyhier.cli.text import printable

__all__ = [
    "CLOSED_PIPE",
    "EXIT_CODES",
    "INTERRUPTED",
    "UNEXPECTED",
    "USAGE",
    "Failure",
]

UNEXPECTED: Final = 1
"""A mistake in keyhier itself."""

USAGE: Final = 2
"""An unknown command or option, or one that is missing."""

INTERRUPTED: Final = 130
"""Ctrl-C, as shells say it: 128 and the number of SIGINT."""

CLOSED_PIPE: Final = 141
"""What reads the output has stopped reading: 128 and the number of SIGPIPE."""

EXIT_CODES: Final[dict[type[errors.KeyhierError], int]] = {
    errors.NotFoundError: 3,
    errors.AlreadyExistsError: 4,
    errors.ConflictError: 5,
    errors.AccessDeniedError: 6,
    errors.AuthenticationError: 7,
    errors.InvalidInputError: 8,
    errors.InvalidStateError: 9,
    errors.UnsupportedError: 10,
    errors.AmbiguousError: 11,
    errors.CapacityError: 12,
    errors.UnwrapError: 13,
    errors.IntegrityError: 14,
    errors.ThrottledError: 15,
    errors.UnavailableError: 16,
    errors.PlacementError: 17,
}
"""One for each class of error; a number is never given to another class."""


@attrs.frozen
class Failure:
    """What is told of an error.

    Attributes:
        type: the class of the error, by its public name.
        line: all of it in one line.
        message, native, remedy: as in :class:`~keyhier.errors.KeyhierError`.
        exit_code: what the command ends with.
        candidates: what answers to an ambiguous name.
    """

    type: str
    line: str
    message: str
    exit_code: int
    native: str | None = None
    remedy: str | None = None
    candidates: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: errors.KeyhierError) -> Failure:
        """Describe an error of keyhier's, with a remedy for who is at the command."""
        remedy = at_the_command(error.remedy) if error.remedy else None
        return cls(
            type(error).__name__,
            str(error).removesuffix(error.remedy or "") + (remedy or ""),
            error.message,
            next(
                (EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), UNEXPECTED
            ),
            error.native,
            remedy,
            error.candidates if isinstance(error, errors.AmbiguousError) else (),
        )

    @classmethod
    def of_usage(cls, message: str) -> Failure:
        """Describe a command line that cannot be understood."""
        # Typer sets lists of choices on lines of their own.
        text = " ".join(message.split()).removesuffix(".")
        remedy = "--help shows what there is"
        return cls("UsageError", f"{text}; {remedy}", text, USAGE, remedy=remedy)

    @classmethod
    def of_mistake(cls, error: Exception) -> Failure:
        """Describe an error that nobody thought of.

        Its text is left out: nobody can say what is in it.
        """
        place = "an unknown place"
        frame = error.__traceback__
        while frame is not None:
            module = frame.tb_frame.f_globals.get("__name__", "")
            if module.startswith("keyhier"):
                place = f"{module}, line {frame.tb_lineno}"
            frame = frame.tb_next
        message = f"unexpected {type(error).__name__} in {place}: this is a mistake in keyhier"
        remedy = "please report it"
        return cls("InternalError", f"{message}; {remedy}", message, UNEXPECTED, remedy=remedy)

    def report(self, *, as_json: bool) -> int:
        """Write it to standard error and return the exit code."""
        if as_json:
            fields: dict[str, object] = {
                "type": self.type,
                "message": self.message,
                "native": self.native,
                "remedy": self.remedy,
                "exit_code": self.exit_code,
            }
            if self.candidates:
                fields["candidates"] = list(self.candidates)
            text = json.dumps({"error": fields})
        else:
            text = f"keyhier: error: {printable(self.line)}"
        sys.stderr.write(f"{text}\n")
        return self.exit_code
