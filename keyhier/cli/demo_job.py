"""The main job, end to end: what `keyhier demo` does before anything is shown."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import attrs

import keyhier
from keyhier.cli.cryptsetup import LuksProof, prove
from keyhier.errors import UnwrapError
from keyhier.registry import registered_backends
from keyhier.testing.softhsm import SoftHsm, find_softhsm_module
from keyhier.volume import BitLockerKey, LinuxPassphrase
from keyhier.wrapped import WrappedKey

__all__ = ["Run", "Sample", "Stage", "memory_stage", "run", "softhsm_stage", "softhsm_unavailable"]

KEK_NAME: Final = "vm-kek"
BEK_CONTEXT: Final = {"vm": "web-01", "volume": "C:"}
LUKS_CONTEXT: Final = {"vm": "db-01", "volume": "/dev/sdb"}
OTHER_CONTEXT: Final = {"vm": "db-02", "volume": "/dev/sdb"}


@attrs.frozen
class Stage:
    """A vault to do the job in.

    Attributes:
        title: what it is, for a reader.
        uri: what opens it.
    """

    title: str
    uri: str


@attrs.frozen
class Sample:
    """One secret that was wrapped and unwrapped.

    Attributes:
        what: what it is, for a reader.
        wrapped: its envelope.
        same: whether it came back as it was.
    """

    what: str
    wrapped: WrappedKey
    same: bool


@attrs.frozen
class Run:
    """The job, done in one vault.

    Attributes:
        stage: the vault.
        spec: what the KEK is.
        note: why the KEK's algorithm is not the usual one, or None.
        samples: the secrets.
        context_bound: whether an envelope stayed closed with another context.
        luks: whether cryptsetup opens a volume with the recovered passphrase.
    """

    stage: Stage
    spec: str
    note: str | None
    samples: tuple[Sample, ...]
    context_bound: bool
    luks: LuksProof

    @property
    def holds(self) -> bool:
        """Whether everything that was tried came out as it must."""
        same = all(sample.same for sample in self.samples)
        return same and self.context_bound and self.luks.opened is not False


def memory_stage(folder: Path) -> Stage:
    """Return a vault in memory that keeps itself in a file of ``folder``."""
    passphrase = folder / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(secrets.token_hex(16))
    uri = f"memory:?file={folder}/vault&pin-source=file:{passphrase}"
    return Stage("memory, kept in one encrypted file", uri)


def softhsm_unavailable() -> str | None:
    """Say why there is no SoftHSM token to be had here, or return None."""
    if find_softhsm_module() is None:
        return "SoftHSM is not installed (Debian: softhsm2)"
    for backend in registered_backends():
        if backend.scheme == "pkcs11":
            return backend.unavailable
    return "the backend for pkcs11: is not installed"


@contextmanager
def softhsm_stage() -> Iterator[Stage]:
    """Make a SoftHSM token in a temporary folder, and take it away again."""
    softhsm = SoftHsm.current()
    token = softhsm.new_token(f"keyhier-demo-{secrets.token_hex(4)}")
    try:
        yield Stage("SoftHSM, a PKCS#11 token in software", token.uri)
    finally:
        softhsm.remove(token)


def run(stage: Stage, folder: Path) -> Run:
    """Make a KEK, wrap two volume keys under it, open the vault anew and unwrap them."""
    with ExitStack() as stack:
        with keyhier.open(stage.uri) as vault:
            kek = vault.create_key(KEK_NAME, "RSA-3072")
            bek = stack.enter_context(BitLockerKey.generate(random=vault))
            passphrase = stack.enter_context(LinuxPassphrase.generate(random=vault))
            wrapped_bek = kek.wrap(bek, context=BEK_CONTEXT)
            wrapped_passphrase = kek.wrap(passphrase, context=LUKS_CONTEXT)
            spec, note = kek.spec, kek.default_reason
        with keyhier.open(stage.uri) as vault:
            with vault.unwrap(wrapped_bek, context=BEK_CONTEXT) as secret:
                recovered_bek = stack.enter_context(BitLockerKey.from_bytes(secret))
            with vault.unwrap(wrapped_passphrase, context=LUKS_CONTEXT) as secret:
                recovered = stack.enter_context(LinuxPassphrase.from_bytes(secret))
            bound = not _opens(vault, wrapped_passphrase, OTHER_CONTEXT)
        samples = (
            Sample(f"BitLocker key {bek.filename}", wrapped_bek, recovered_bek == bek),
            Sample("LUKS passphrase", wrapped_passphrase, recovered == passphrase),
        )
        return Run(stage, spec, note, samples, bound, prove(folder, passphrase, recovered))


def _opens(vault: keyhier.Vault, wrapped: WrappedKey, context: Mapping[str, str]) -> bool:
    try:
        vault.unwrap(wrapped, context=context).wipe()
    except UnwrapError:
        return False
    return True
