"""PlacementPolicy: whether a set may have its key where it is, asked before the key is used."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from keyhier.hierarchy.encryption_set import EncryptionSet
from keyhier.identifiers import KeyId
from keyhier.placement.check import check_placement
from keyhier.placement.model import (
    EncryptionSetResource,
    KeyUse,
    VaultReference,
    VaultResource,
)
from keyhier.placement.place import NOWHERE, Placement
from keyhier.placement.rule_files import DEFAULT_RULES
from keyhier.placement.rules import RuleSet
from keyhier.placement.unknown import UNKNOWN

__all__ = ["Enforcement", "PlacementPolicy"]


class Enforcement(enum.StrEnum):
    """What is done about a violation."""

    ENFORCE = "enforce"
    WARN = "warn"


@attrs.frozen
class PlacementPolicy:
    """Where vaults are, the rules, and what follows where one is broken.

    Attributes:
        vaults: where each vault is, by its host, its token's label, or ``memory``.
        rules: a rule set, or the name of one that comes with keyhier.
        enforcement: *enforce* refuses before any key is used; *warn* notes it in the set.
    """

    vaults: Mapping[str, Placement] = attrs.field(factory=dict)
    rules: RuleSet | str = DEFAULT_RULES
    enforcement: Enforcement = attrs.field(default=Enforcement.ENFORCE, converter=Enforcement)

    def warnings(self, encryption_set: EncryptionSet, key: KeyId) -> tuple[str, ...]:
        """Return what is to be noted of a set and a key that it is to use.

        Raises:
            PlacementError: a rule is broken, and that is not allowed; all of them are named.
        """
        host = key.vault or key.scheme
        identity = encryption_set.identity
        # Where the set names no vault, only the key's URL tells which one it is.
        vault_id = UNKNOWN if encryption_set.vault_id is None else encryption_set.vault_id
        report = check_placement(
            [
                EncryptionSetResource(
                    id=UNKNOWN if encryption_set.id is None else encryption_set.id,
                    name=encryption_set.name,
                    placement=encryption_set.placement,
                    key=KeyUse(str(key), VaultReference(vault_id, host)),
                    user_assigned=bool(identity.user),
                    federated_client=identity.federated_client_id is not None,
                ),
                VaultResource(
                    id=vault_id, name=host, host=host, placement=self.vaults.get(host, NOWHERE)
                ),
            ],
            self.rules,
        )
        if self.enforcement is Enforcement.ENFORCE:
            report.raise_for_errors()
        broken = (f"{each.rule.id}: {each.rule.text}" for each in report.violations)
        unknown = (
            f"{each.rule.id} was not checked: unknown are {', '.join(each.missing)}"
            for each in report.not_checked
        )
        return (*broken, *unknown)
