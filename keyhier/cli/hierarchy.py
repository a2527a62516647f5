"""The hierarchy that a command works on: the vault, the records, and what keyhier.toml asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from keyhier.audit_log import AuditLog
from keyhier.cli.config import Configuration
from keyhier.cli.hierarchy_settings import HierarchySettings
from keyhier.cli.session import Session
from keyhier.hierarchy.facade import Hierarchy
from keyhier.vault import Vault

__all__ = ["hierarchy_settings", "open_hierarchy", "open_hierarchy_beside"]


def hierarchy_settings(session: Session) -> HierarchySettings:
    """Return what the profile that is named insists on, or else the default one.

    Raises:
        NotFoundError: there is no such profile.
        NotFoundError, AccessDeniedError, InvalidInputError: as :meth:`Configuration.load`.
    """
    configuration = Configuration.load(session.settings.config)
    profile = session.settings.profile or configuration.default
    return HierarchySettings() if profile is None else configuration.hierarchy(profile)


@contextmanager
def open_hierarchy(session: Session, *, read_only: bool = False) -> Iterator[Hierarchy]:
    """Open the hierarchy that a session's settings name, and close all of it.

    It insists on what :func:`hierarchy_settings` says.

    Args:
        session: the command's.
        read_only: whether the store refuses any change.
    """
    with _open(session, session.audit_log(), read_only=read_only) as hierarchy:
        yield hierarchy


@contextmanager
def open_hierarchy_beside(
    session: Session, uri: str, *, read_only: bool = False
) -> Iterator[tuple[Hierarchy, Vault]]:
    """Open a hierarchy as :func:`open_hierarchy` does, and another vault, with one audit log."""
    log = session.audit_log()
    with (
        _open(session, log, read_only=read_only) as hierarchy,
        session.open(log, uri=uri) as vault,
    ):
        yield hierarchy, vault


@contextmanager
def _open(session: Session, log: AuditLog | None, *, read_only: bool) -> Iterator[Hierarchy]:
    # What the profile insists on is read before a PIN is asked for.
    settings = hierarchy_settings(session)
    policy = settings.policy()
    with ExitStack() as opened:
        vaults = [
            opened.enter_context(session.open(log, uri=uri))
            for uri in (None, *(session.settings.also_vault or ()))
        ]
        records = opened.enter_context(session.open_records(read_only=read_only))
        yield opened.enter_context(
            Hierarchy(vaults, records, name=settings.name, policy=policy, audit=log)
        )
