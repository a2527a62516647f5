"""The second act of `keyhier demo`: a set of disks, a rotation, a retirement, a migration."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import attrs

import keyhier
from keyhier.cli.demo_job import Stage
from keyhier.hierarchy.census import Census
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.kek_cache import CacheLimits
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.reference import KeyReference
from keyhier.hierarchy.tree import Node
from keyhier.hierarchy.volume import Volume
from keyhier.records.opening import open_records
from keyhier.secret import SecretBytes
from keyhier.volume import BitLockerKey, LinuxPassphrase

__all__ = ["ActTwo", "act_two"]

CMK: Final = "disk-cmk"
SET: Final = "web"
_SPEC: Final = "RSA-3072"
_DISKS: Final = (
    ("web-01", "C:", BitLockerKey),
    ("web-02", "C:", BitLockerKey),
    ("db-01", "/dev/sdb", LinuxPassphrase),
    ("db-02", "/dev/sdb", LinuxPassphrase),
)


@attrs.frozen
class ActTwo:
    """What was done with a hierarchy.

    Attributes:
        first, second: the vaults.
        before: the tree before anything was rotated.
        census_before: who needed the key then.
        census_after: who needed it after the rotation.
        rotated: how many records the rotation wrapped anew.
        retired: whether the old version could be disabled.
        migrated: how many records the migration wrapped anew.
        after: the tree in the end, without the first vault.
        same: whether every key came back as it was, without the first vault.
    """

    first: Stage
    second: Stage
    before: tuple[Node, ...]
    census_before: Census
    census_after: Census
    rotated: int
    retired: bool
    migrated: int
    after: tuple[Node, ...]
    same: bool

    @property
    def holds(self) -> bool:
        """Whether everything came out as it must."""
        disks = len(_DISKS)
        return self.retired and self.same and (self.rotated, self.migrated) == (disks, disks)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "first": self.first.title,
            "second": self.second.title,
            "before": [node.as_dict() for node in self.before],
            "census_before": self.census_before.as_dict(),
            "census_after": self.census_after.as_dict(),
            "rotated": self.rotated,
            "retired": self.retired,
            "migrated": self.migrated,
            "after": [node.as_dict() for node in self.after],
            "same": self.same,
        }


def act_two(first: Stage, second: Stage, folder: Path) -> ActTwo:
    """Protect disks in a set, rotate and retire its key, and move to another vault."""
    # Nobody else knows these keys, so there is nobody to wait for.
    policy = Policy(cache=CacheLimits(age=0.01))
    keys: dict[Volume, SecretBytes] = {}
    with ExitStack() as stack:
        records = stack.enter_context(open_records(f"sqlite:{folder}/records.db"))
        new = stack.enter_context(keyhier.open(second.uri))
        with keyhier.open(first.uri) as old, Hierarchy(old, records, policy=policy) as hierarchy:
            cmk = old.create_key(CMK, _SPEC)
            hierarchy.sets.create(SET, KeyReference.following(cmk.id))
            for vm, name, kind in _DISKS:
                volume = Volume(vm, name, set=SET)
                with kind.generate(random=old) as key:
                    keys[volume] = stack.enter_context(key.to_secret())
                    hierarchy.protect(volume, key)
            before, census_before = hierarchy.tree(), hierarchy.census(CMK)
            cmk.rotate()
            seen = hierarchy.observe(SET)
            rotated = 0
            if seen.rotation is not None and seen.rotation.complete:
                rotated = sum(seen.rotation.counts.values())
                hierarchy.jobs.finalize(seen.rotation.job.id)
            hierarchy.sets.observe(SET)
            census_after = hierarchy.census(CMK)
            retired = hierarchy.retire(cmk.id, wait=True).disabled
            target = new.create_key(CMK, _SPEC)
            moving = hierarchy.migrate(new)
            hierarchy.jobs_beside(new).finalize(moving.job.id)
            migrated = sum(moving.counts.values())
        with Hierarchy(new, records, policy=policy) as hierarchy:
            hierarchy.sets.refer(SET, KeyReference.following(target.id))
            hierarchy.sets.observe(SET)
            same = True
            for volume, original in keys.items():
                with hierarchy.recover(volume) as recovered:
                    same = same and recovered == original
            after = hierarchy.tree()
    return ActTwo(
        first,
        second,
        before,
        census_before,
        census_after,
        rotated,
        retired,
        migrated,
        after,
        same,
    )
