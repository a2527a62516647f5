"""Readiness: whether a vault has what disk encryption needs of it, and who may use its keys."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final

import attrs

from keyhier.azure_disk.reading import given_items, needed_text, properties_of
from keyhier.doctor import Finding, Severity
from keyhier.errors import UnsupportedError
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import VaultResource
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = [
    "APPLICATION_GRANT",
    "SET_GRANT",
    "Grant",
    "Policy",
    "VaultUse",
    "check_readiness",
    "read_policies",
]

KEY_VAULT_API: Final = "2026-02-01"
_ADE_PAGE: Final = (
    "https://learn.microsoft.com/azure/virtual-machines/windows/disk-encryption-key-vault"
)


class VaultUse(StrEnum):
    """What a vault is to be used for."""

    ADE = "ade"
    """Azure Disk Encryption keeps secrets in it, or wraps them with its key."""

    ADE_WITH_APPLICATION = "ade-with-application"
    """The previous generation: an application writes the secrets."""

    DEPLOYMENT = "deployment"
    """A machine is deployed that names its secrets, such as one of an encrypted VHD."""

    TEMPLATE = "template"
    """A template is deployed whose parameters refer to its secrets."""

    ENCRYPTION_SET = "encryption-set"
    """An encryption set uses its key."""


@attrs.frozen
class Grant:
    """What a principal needs.

    Attributes:
        keys: permissions on keys, of an access policy.
        secrets: permissions on secrets.
        role: the role that gives as much, where there is one, with the id of its definition.
        source: the page that says so.
    """

    keys: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()
    role: tuple[str, str] | None = None
    source: str = _ADE_PAGE

    def as_policy(self, vault: str, tenant: str, principal: str) -> dict[str, Any]:
        """Return the resource that adds the permissions to a vault's access policies."""
        permissions = {"keys": sorted(self.keys), "secrets": sorted(self.secrets)}
        entry = {"tenantId": tenant, "objectId": principal, "permissions": permissions}
        return {
            "type": "Microsoft.KeyVault/vaults/accessPolicies",
            "apiVersion": KEY_VAULT_API,
            # ARM's schema takes the bare operation or an expression, and ARM the vault's name too.
            "name": f"[concat('{vault}', '/add')]",
            "properties": {"accessPolicies": [entry]},
        }

    def as_role_assignment(self, vault: ArmId, principal: str) -> dict[str, Any]:
        """Return the resource that gives the role on a vault.

        Its name is made of vault, role and principal, so that it is the same each time.

        Raises:
            UnsupportedError: no role gives what is needed.
        """
        if self.role is None:
            raise UnsupportedError(
                "no role gives an application what it needs",
                remedy="use a vault with access policies",
            )
        mark = f"{vault}/{self.role[1]}/{principal}".casefold()
        definition = f"Microsoft.Authorization/roleDefinitions/{self.role[1]}"
        return {
            "type": "Microsoft.Authorization/roleAssignments",
            "apiVersion": "2022-04-01",
            "scope": str(vault),
            "name": str(uuid.uuid5(uuid.NAMESPACE_URL, mark)),
            "properties": {
                "roleDefinitionId": f"/subscriptions/{vault.subscription}/providers/{definition}",
                "principalId": principal,
                "principalType": "ServicePrincipal",
            },
        }


SET_GRANT: Final = Grant(
    keys=frozenset({"get", "wrapKey", "unwrapKey"}),
    role=("Key Vault Crypto Service Encryption User", "e147488a-f6f5-4113-8e2d-b22465e65bf6"),
    source="https://learn.microsoft.com/azure/virtual-machines/disks-enable-customer-managed-keys-portal",
)
"""What the identity of an encryption set needs."""

APPLICATION_GRANT: Final = Grant(
    keys=frozenset({"wrapKey"}),
    secrets=frozenset({"set"}),
    source="https://learn.microsoft.com/azure/virtual-machines/windows/disk-encryption-key-vault-aad",
)
"""What the application of the previous generation needs."""

_GRANTS: Final = {
    VaultUse.ENCRYPTION_SET: SET_GRANT,
    VaultUse.ADE_WITH_APPLICATION: APPLICATION_GRANT,
}


@attrs.frozen
class Policy:
    """An access policy of a vault.

    Attributes:
        principal: the object id of whom it is for.
        keys: permissions on keys, in lower case.
        secrets: permissions on secrets, in lower case.
    """

    principal: str
    keys: frozenset[str]
    secrets: frozenset[str]


def read_policies(document: object) -> tuple[Policy, ...]:
    """Read the access policies of a vault's document.

    Raises:
        InvalidInputError: they are malformed.
    """
    return tuple(
        Policy(
            needed_text(each.at("objectId")),
            *(
                frozenset(
                    needed_text(one).casefold() for one in given_items(each.at("permissions", kind))
                )
                for kind in ("keys", "secrets")
            ),
        )
        for each in given_items(properties_of(document).at("accessPolicies"))
    )


def check_readiness(
    vault: VaultResource,
    uses: Iterable[VaultUse],
    *,
    principal: str | None = None,
    policies: Maybe[Iterable[Policy]] = UNKNOWN,
) -> list[Finding]:
    """Return what was looked at, and what a vault lacks for its uses.

    What is not known is a warning and says so.

    Args:
        vault: the vault.
        uses: what it is to be used for.
        principal: the object id of the set's identity or of the application, if there is one.
        policies: the vault's access policies.
    """
    listed = None if isinstance(policies, Unknown) else tuple(policies)
    return [
        finding
        for use in dict.fromkeys(uses)
        for finding in (*_flags(vault, use), *_access(vault, use, principal, listed))
    ]


_FLAGS: Final = {
    VaultUse.ADE: ("for_disk_encryption", "--enabled-for-disk-encryption", "disk encryption"),
    VaultUse.ADE_WITH_APPLICATION: (
        "for_disk_encryption",
        "--enabled-for-disk-encryption",
        "disk encryption",
    ),
    VaultUse.DEPLOYMENT: ("for_deployment", "--enabled-for-deployment", "deployment"),
    VaultUse.TEMPLATE: (
        "for_template_deployment",
        "--enabled-for-template-deployment",
        "template deployment",
    ),
    VaultUse.ENCRYPTION_SET: ("purge_protection", "--enable-purge-protection", "purge protection"),
}


def _flags(vault: VaultResource, use: VaultUse) -> Iterator[Finding]:
    name, option, what = _FLAGS[use]
    value = getattr(vault, name)
    check = f"vault-{what.replace(' ', '-')}"
    if value is True:
        yield Finding(check, Severity.OK, f"{vault.label} is enabled for {what}")
    elif value is False:
        yield Finding(
            check,
            Severity.ERROR,
            f"{vault.label} is not enabled for {what}, which {use} needs",
            f"az keyvault update --name NAME {option} true",
        )
    else:
        yield Finding(
            check,
            Severity.WARNING,
            f"whether {vault.label} is enabled for {what} is not known, so it was not checked",
            f"see `az keyvault show`; {use} needs it",
        )


def _access(
    vault: VaultResource,
    use: VaultUse,
    principal: str | None,
    policies: tuple[Policy, ...] | None,
) -> Iterator[Finding]:
    grant = _GRANTS.get(use)
    if grant is None:
        return
    check = f"vault-access-{use}"
    needed = ", ".join(sorted(grant.keys | grant.secrets))
    if vault.rbac is True and grant.role is None:
        yield Finding(
            check,
            Severity.ERROR,
            f"{vault.label} decides by roles, and the application needs an access policy",
            "use a vault with access policies, or single-pass encryption",
        )
    elif vault.rbac is not False or policies is None or principal is None:
        role = f", or the role {grant.role[0]}" if grant.role else ""
        yield Finding(
            check,
            Severity.WARNING,
            f"whether {principal or 'the identity'} may use {vault.label} was not checked",
            f"it needs {needed}{role}",
        )
    else:
        yield _by_policy(check, vault, grant, principal, policies)


def _by_policy(
    check: str, vault: VaultResource, grant: Grant, principal: str, policies: tuple[Policy, ...]
) -> Finding:
    own = [each for each in policies if each.principal.casefold() == principal.casefold()]
    keys = frozenset().union(*(each.keys for each in own))
    secrets = frozenset().union(*(each.secrets for each in own))
    missing = sorted(
        {each for each in grant.keys if not keys & {each.casefold(), "all"}}
        | {each for each in grant.secrets if not secrets & {each.casefold(), "all"}}
    )
    if not missing:
        return Finding(check, Severity.OK, f"{principal} may use {vault.label}")
    return Finding(
        check,
        Severity.ERROR,
        f"{principal} lacks {', '.join(missing)} in {vault.label}",
        "az keyvault set-policy --name NAME --object-id ID --key-permissions …",
    )
