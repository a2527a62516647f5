"""`keyhier volume-key`: what a disk is unlocked with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import attrs
import typer

from keyhier.cli import files
from keyhier.cli.envelope import (
    ContextOption,
    ForceOption,
    envelope_document,
    parse_context,
)
from keyhier.cli.session import Session, find_key, vault_command
from keyhier.cli.text import printable
from keyhier.cli.together import Together
from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.secret import RandomSource
from keyhier.volume import BitLockerKey, LinuxPassphrase
from keyhier.volume.bitlocker import ADE_DESCRIPTION, DEFAULT_DESCRIPTION
from keyhier.wrapped import WrappedKey

__all__ = ["app"]

app = typer.Typer(help="Volume keys: what a disk is unlocked with.", no_args_is_help=True)
new = typer.Typer(help="Make a volume key.", no_args_is_help=True)
app.add_typer(new, name="new")


class Entropy(StrEnum):
    """Where the random bytes come from."""

    OS = "os"
    VAULT = "vault"


EntropyOption = Annotated[Entropy, typer.Option("--random", help="Whose generator makes the key.")]
WrapWithOption = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Wrap it under this KEK at once; --out is not needed then."),
]
OutWrappedOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="For the envelope; by default -, standard output."),
]


@new.command("bitlocker")
@vault_command
def bitlocker(
    session: Session,
    *,
    out: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="It gets <GUID>.BEK; - is standard output."),
    ] = None,
    ade: Annotated[
        bool, typer.Option("--ade", help="Describe it as Azure Disk Encryption does.")
    ] = False,
    random: EntropyOption = Entropy.OS,
    wrap_with: WrapWithOption = None,
    out_wrapped: OutWrappedOption = None,
    context: ContextOption = None,
    force: ForceOption = False,
) -> None:
    """Make a BitLocker external key, a .BEK file."""
    if out not in (None, files.STANDARD) and not Path(out).is_dir():
        raise NotFoundError(f"{out} is no folder", remedy="make it, or name another")
    description = ADE_DESCRIPTION if ade else DEFAULT_DESCRIPTION
    making = _Making(session, out, wrap_with, out_wrapped, context, random, force=force)
    making.run(lambda source: BitLockerKey.generate(random=source, description=description))


@new.command("luks")
@vault_command
def luks(
    session: Session,
    *,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="The key file; - is standard output.")
    ] = None,
    random: EntropyOption = Entropy.OS,
    wrap_with: WrapWithOption = None,
    out_wrapped: OutWrappedOption = None,
    context: ContextOption = None,
    force: ForceOption = False,
) -> None:
    """Make a passphrase for LUKS: 127 random bytes in base64."""
    making = _Making(session, out, wrap_with, out_wrapped, context, random, force=force)
    making.run(LinuxPassphrase.generate)


@attrs.frozen
class _Making:
    """One making of a volume key: into a file, into an envelope, or both."""

    session: Session
    out: str | None
    wrap_with: str | None
    out_wrapped: str | None
    context: list[str] | None
    entropy: Entropy
    force: bool = attrs.field(kw_only=True)

    def run(
        self, generate: Callable[[RandomSource | None], BitLockerKey | LinuxPassphrase]
    ) -> None:
        """Make the key and bring it to where it was asked for."""
        self._check()
        bound = parse_context(self.context)
        wrapped = None
        with ExitStack() as stack:
            vault = kek = None
            if self.wrap_with is not None or self.entropy is Entropy.VAULT:
                vault = stack.enter_context(self.session.open())
                kek = None if self.wrap_with is None else find_key(vault, self.wrap_with)
            made = generate(vault if self.entropy is Entropy.VAULT else None)
            stack.callback(made.wipe)
            if kek is not None:
                wrapped = kek.wrap(made, context=bound)
            self._hand_over(made, wrapped)

    def _hand_over(self, made: BitLockerKey | LinuxPassphrase, wrapped: WrappedKey | None) -> None:
        """Bring what was made to all its places, or to none."""
        key_file = self._key_file(made)
        envelope_out = wrapped is not None and self._envelope_file is None
        # The envelope always goes first: alone it is of use, and the key can be had from it.
        with Together(force=self.force) as together, made.to_secret() as secret:
            if wrapped is not None and self._envelope_file is not None:
                together.add(Path(self._envelope_file), files.as_line(str(wrapped)))
            if key_file is not None:
                together.add(key_file, secret)
            if envelope_out:
                self._show(made, key_file, wrapped)
            together.publish()
            if self.out == files.STANDARD:
                files.write_standard(secret)
            elif not envelope_out:
                self._show(made, key_file, wrapped)
            elif key_file is not None and not self.session.settings.as_json:
                # The envelope alone is the output, so that it can go into a pipe.
                sys.stderr.write(f"wrote {printable(str(key_file))}\n")

    @property
    def _envelope_file(self) -> str | None:
        return None if self.out_wrapped == files.STANDARD else self.out_wrapped

    def _check(self) -> None:
        if self.out is None and self.wrap_with is None:
            raise InvalidInputError(
                "the key would go nowhere", remedy="give --out, --wrap-with, or both"
            )
        if self.wrap_with is None and (self.context or self.out_wrapped is not None):
            raise InvalidInputError("--context and --out-wrapped go with --wrap-with")
        self.session.leave_stdout_to_secret(self.out)
        if self.out == files.STANDARD and self.wrap_with and self._envelope_file is None:
            raise InvalidInputError(
                "the key and its envelope both want standard output",
                remedy="name a file with --out-wrapped",
            )
        if self.out is not None and self._envelope_file is not None:
            _check_apart(Path(self.out), Path(self._envelope_file))

    def _key_file(self, made: BitLockerKey | LinuxPassphrase) -> Path | None:
        if self.out is None or self.out == files.STANDARD:
            return None
        path = Path(self.out)
        return path / made.filename if isinstance(made, BitLockerKey) else path

    def _show(
        self,
        made: BitLockerKey | LinuxPassphrase,
        key_file: Path | None,
        wrapped: WrappedKey | None,
    ) -> None:
        written = None if key_file is None else str(key_file)
        document: dict[str, object] = {"content_type": made.content_type, "written": written}
        lines = [] if written is None else [f"wrote {printable(written)}"]
        if isinstance(made, BitLockerKey):
            document["identifier"] = str(made.identifier).upper()
        if wrapped is not None:
            document["envelope"] = envelope_document(wrapped)
            if self._envelope_file is None:
                lines = [str(wrapped)]
            else:
                lines.append(f"wrapped into {printable(self._envelope_file)}")
        self.session.show(document, "\n".join(lines))


def _check_apart(out: Path, out_wrapped: Path) -> None:
    """Refuse one file for the key and its envelope, by whatever paths it is named."""
    same = os.path.realpath(out) == os.path.realpath(out_wrapped)
    # A file that is not there yet has no second name.
    with suppress(OSError):
        same = same or out.samefile(out_wrapped)
    if same:
        raise InvalidInputError("--out and --out-wrapped name the same file")
