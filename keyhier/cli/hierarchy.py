"""The hierarchy that a command works on: the vault, the records, and what keyhier.toml asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from keyhier.cli.config import Configuration
from keyhier.cli.hierarchy_settings import HierarchySettings
from keyhier.cli.session import Session
from keyhier.hierarchy.facade import Hierarchy

__all__ = ["open_hierarchy"]


@contextmanager
def open_hierarchy(session: Session, *, read_only: bool = False) -> Iterator[Hierarchy]:
    """Open the hierarchy that a session's settings name, and close all of it.

    The profile that is named says what it insists on, or else the default one.

    Args:
        session: the command's.
        read_only: whether the store refuses any change.
    """
    configuration = Configuration.load(session.settings.config)
    profile = session.settings.profile or configuration.default
    settings = configuration.hierarchies.get(profile or "", HierarchySettings())
    policy = settings.policy()
    log = session.audit_log()
    with (
        session.open(log) as vault,
        session.open_records(read_only=read_only) as records,
        Hierarchy(vault, records, name=settings.name, policy=policy, audit=log) as hierarchy,
    ):
        yield hierarchy
