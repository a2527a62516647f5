"""What is seen of a module and a token before a login: what they are, their clock, their PIN."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pkcs11.constants import TokenFlag

from keyhier.doctor import Finding, Severity, guarded
from keyhier_pkcs11.doctor.token_info import TokenInfo, read_token_info
from keyhier_pkcs11.pool import LEAST_SESSIONS
from keyhier_pkcs11.token import serial_of

if TYPE_CHECKING:
    from pkcs11.types import Token

    from keyhier_pkcs11.module import Module

__all__ = ["examine_module", "examine_sessions", "examine_token"]

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_OLDEST_VERSION: Final = (2, 40)
# The token tells whole seconds, and the answer took its time.
_DRIFT_SECONDS: Final = 5


def examine_module(module: Module) -> Iterator[Finding]:
    """Look at the module's file and at what it says of itself (CK_INFO)."""
    path = Path(module.so)
    mode = stat.S_IMODE(path.stat().st_mode)
    version = module.cryptoki_version
    found = (
        f"{path}: {module.library_description or 'no description'} of "
        f"{module.manufacturer_id or 'no manufacturer'}, {_dotted(module.library_version)}, for "
        f"PKCS#11 {_dotted(version)}"
    )
    yield Finding("module", Severity.OK, found)
    if mode & _WRITABLE_BY_OTHERS:
        found = f"others may change {path} (mode {mode:04o}), which runs in this process"
        yield Finding("module.file", Severity.ERROR, found, f"chmod go-w {path}")
    if version < _OLDEST_VERSION:
        found = f"the module is for PKCS#11 {_dotted(version)}, which is older than 2.40"
        remedy = "see whether the vendor has a newer module"
        yield Finding("module.version", Severity.NOTE, found, remedy)


def examine_token(module: Module, token: Token) -> Iterator[Finding]:
    """Look at the token, its clock, and what it says of its PIN."""
    found = (
        f"{token.label!r}, serial {serial_of(token)!r}, {token.manufacturer_id} {token.model}, "
        f"hardware {_dotted(token.hardware_version)}, firmware {_dotted(token.firmware_version)}, "
        f"in slot {token.slot.slot_id}"
    )
    yield Finding("token", Severity.OK, found)
    if TokenFlag.WRITE_PROTECTED in token.flags:
        found = "the token is write-protected: keys can be used, and none made"
        remedy = "where keys are to be made, lift the protection with the vendor's tool"
        yield Finding("token.writable", Severity.NOTE, found, remedy)
    yield from _pin(token)
    yield from guarded("clock", partial(_clock, module, token))


def examine_sessions(info: TokenInfo, needed: int) -> Iterator[Finding]:
    """Look at how many sessions are to be had.

    Args:
        needed: how many the vault may come to use at once.
    """
    kinds = (
        (info.max_sessions, info.sessions, "sessions"),
        (info.max_writable_sessions, info.writable_sessions, "writable sessions"),
    )
    limited = [(limit - (used or 0), limit, what) for limit, used, what in kinds if limit]
    if not limited:
        found = "the token tells of no limit to its sessions"
        yield Finding("sessions", Severity.OK, found)
        return
    free, limit, what = min(limited)
    found = f"{free} of {limit} {what} are free for this process"
    if free < needed:
        found += f", which may use {needed} at once"
        least = max(free, LEAST_SESSIONS)
        remedy = f"add max-sessions={least} to the vault's URI, or raise the limit of the token"
        yield Finding("sessions", Severity.WARNING, found, remedy)
    else:
        yield Finding("sessions", Severity.OK, found)


def _pin(token: Token) -> Iterator[Finding]:
    check, flags = "pin", token.flags
    if TokenFlag.USER_PIN_LOCKED in flags:
        remedy = "the security officer can set a new PIN (C_InitPIN)"
        yield Finding(check, Severity.ERROR, "the user's PIN is locked", remedy)
    elif TokenFlag.USER_PIN_FINAL_TRY in flags:
        found = "one more wrong PIN locks the token, so none is tried here"
        remedy = "make sure of the PIN, and log in with the vendor's tool once"
        yield Finding(check, Severity.ERROR, found, remedy)
    elif TokenFlag.USER_PIN_COUNT_LOW in flags:
        found = "a wrong PIN was tried since the last login"
        yield Finding(check, Severity.WARNING, found, "find out who tried it")
    elif TokenFlag.USER_PIN_INITIALIZED not in flags and TokenFlag.LOGIN_REQUIRED in flags:
        remedy = "the security officer sets one (C_InitPIN)"
        yield Finding(check, Severity.ERROR, "the token has no user PIN yet", remedy)
    if TokenFlag.USER_PIN_TO_BE_CHANGED in flags:
        remedy = "change it with the vendor's tool"
        yield Finding(check, Severity.WARNING, "the user's PIN has to be changed", remedy)


def _clock(module: Module, token: Token) -> Iterator[Finding]:
    with module.calls:
        info = read_token_info(module.so, token.slot.slot_id)
    if not info.has_clock:
        found = "the token has no clock (CKF_CLOCK_ON_TOKEN), and nothing here needs one"
        yield Finding("clock", Severity.OK, found)
    elif info.clock is None:
        found = "the token claims to have a clock and shows no time"
        remedy = "set it with the vendor's tool, if the HSM's own log is of use to you"
        yield Finding("clock", Severity.NOTE, found, remedy)
    else:
        drift = (info.clock - datetime.now(UTC)).total_seconds()
        off = abs(drift) > _DRIFT_SECONDS
        side = "ahead of" if drift > 0 else "behind"
        found = f"the token's clock is {abs(drift):.0f} s {side} this host's"
        remedy = "set the clock that is wrong: the HSM's own log and key dates go by the token's"
        severity = Severity.WARNING if off else Severity.OK
        yield Finding("clock", severity, found, remedy if off else None)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
