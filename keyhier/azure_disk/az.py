"""The same settings as command lines of Azure CLI (https://learn.microsoft.com/cli/azure)."""

from __future__ import annotations

import json
import shlex
from typing import Final

from keyhier.azure_disk.readiness import Grant
from keyhier.azure_disk.set_resource import EncryptionType, SetResource
from keyhier.azure_disk.settings import ExtensionSettings, Operation
from keyhier.errors import InvalidInputError, UnsupportedError
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import VaultResource
from keyhier.placement.unknown import Unknown

__all__ = [
    "az_disk_update",
    "az_extension",
    "az_grant",
    "az_grant_to_application",
    "az_grant_to_identity",
    "az_grant_to_set",
    "az_named",
    "az_set_create",
    "az_set_update",
    "az_vault_update",
]

_SCALE_SET: Final = "Microsoft.Compute/virtualMachineScaleSets"


def az_named(identity: ArmId, name: str | None = None, option: str = "--name") -> list[str]:
    """Return the words of a command that name a resource.

    Args:
        identity: its id.
        name: that of another one in the same group; by default its own.
        option: the option for the name.
    """
    return [
        *("--subscription", identity.subscription),
        *_option("--resource-group", identity.resource_group),
        *_option(option, name or identity.name),
    ]


def _option(name: str, value: str) -> list[str]:
    # Sets and groups may begin with a hyphen, which would be taken for an option by itself.
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def az_extension(machine: ArmId, settings: ExtensionSettings) -> str:
    """Return the command that does what the extension's settings say.

    A secret stands in it as a variable of the environment with the parameter's name.

    Args:
        machine: the ARM id of a machine or a scale set.
        settings: what the extension is told.

    Raises:
        UnsupportedError: Azure CLI has no option for it.
    """
    if settings.passphrase_parameter is not None:
        raise UnsupportedError(
            "Azure CLI takes no passphrase of one's own",
            remedy="deploy the extension as an ARM resource",
        )
    match settings.operation:
        case Operation.QUERY:
            return shlex.join([*_encryption("show", machine), *az_named(machine)])
        case Operation.DISABLE:
            return _disable(machine, settings)
        case Operation.UPDATE:
            return _set_extension(machine, settings)
        case Operation.ENABLE | Operation.ENABLE_FORMAT_ALL:
            return _enable(machine, settings)


def _disable(machine: ArmId, settings: ExtensionSettings) -> str:
    words = (*_encryption("disable", machine), *az_named(machine))
    return shlex.join([*words, "--volume-type", settings.volumes.value.upper()])


def _encryption(verb: str, machine: ArmId) -> tuple[str, ...]:
    return ("az", "vmss" if machine.is_a(_SCALE_SET) else "vm", "encryption", verb)


def _enable(machine: ArmId, settings: ExtensionSettings) -> str:
    formats = settings.operation is Operation.ENABLE_FORMAT_ALL
    if machine.is_a(_SCALE_SET) and (formats or settings.application is not None):
        raise UnsupportedError(
            "Azure CLI takes no application for a scale set, and formats none of its disks",
            remedy="deploy the extension as an ARM resource",
        )
    words = [*_encryption("enable", machine), *az_named(machine)]
    if settings.vault is not None:
        vault = settings.vault
        words += ["--disk-encryption-keyvault", str(vault.id or vault.host.partition(".")[0])]
    if settings.kek is not None:
        kek = settings.kek
        words += ["--key-encryption-key", str(kek.id)]
        words += ["--key-encryption-keyvault", str(kek.vault or kek.id.vault.partition(".")[0])]
        words += ["--key-encryption-algorithm", kek.algorithm.value]
    words += ["--volume-type", settings.volumes.value.upper()]
    if formats:
        words.append("--encrypt-format-all")
    application = settings.application
    if application is not None:
        words += ["--aad-client-id", application.client_id]
        if application.thumbprint is not None:
            words += ["--aad-client-cert-thumbprint", application.thumbprint]
        if application.secret_parameter is not None:
            # The shell fills the secret in from a variable of the environment.
            return f'{shlex.join(words)} --aad-client-secret "${application.secret_parameter}"'
    return shlex.join(words)


def _set_extension(machine: ArmId, settings: ExtensionSettings) -> str:
    properties = settings.as_properties()
    group, name = ("vmss", "--vmss-name") if machine.is_a(_SCALE_SET) else ("vm", "--vm-name")
    words = ["az", group, "extension", "set", *az_named(machine, option=name)]
    words += ["--publisher", properties["publisher"], "--name", settings.type]
    words += ["--version", settings.version, "--settings", json.dumps(settings.as_settings())]
    line = shlex.join(words)
    application = settings.application
    if application is not None and application.secret_parameter is not None:
        # The shell fills the secret in from a variable of the environment, within the JSON.
        secret = rf'"{{\"AADClientSecret\": \"${application.secret_parameter}\"}}"'
        line = f"{line} --protected-settings {secret}"
    return line


def az_set_create(resource: SetResource) -> str:
    """Return the command that makes an encryption set."""
    identity = resource.id
    words = ["az", "disk-encryption-set", "create", *az_named(identity)]
    words += ["--location", resource.location, "--key-url", str(resource.key)]
    if resource.vault is not None:
        words += ["--source-vault", str(resource.vault)]
    words += ["--encryption-type", resource.encryption_type.value]
    words += ["--enable-auto-key-rotation", str(resource.follow_latest).lower()]
    if resource.system_identity:
        words.append("--mi-system-assigned")
    if resource.user_identities:
        words += ["--mi-user-assigned", *map(str, resource.user_identities)]
    if resource.federated_client_id is not None:
        words += ["--federated-client-id", resource.federated_client_id]
    return shlex.join(words)


def az_disk_update(disk: ArmId, set_id: ArmId, encryption_type: EncryptionType) -> str:
    """Return the command that puts a disk under an encryption set.

    Raises:
        UnsupportedError: a confidential machine's disk gets its set when it is made.
    """
    if encryption_type is EncryptionType.CONFIDENTIAL_VM:
        raise UnsupportedError("the set of a confidential machine's disk is given when it is made")
    words = ("az", "disk", "update", *az_named(disk), "--encryption-type", encryption_type.value)
    return shlex.join([*words, "--disk-encryption-set", str(set_id)])


def az_grant(vault: VaultResource, principal: str, grant: Grant) -> str:
    """Return the command that gives a principal what it needs, by role or by access policy.

    Args:
        vault: the vault, with its id, and with ``rbac`` telling who decides about access.
        principal: the object id of the set's identity or of the application.
        grant: what it needs.

    Raises:
        InvalidInputError: the vault's id is unknown, or whether roles decide.
        UnsupportedError: roles decide, and none gives what is needed.
    """
    return shlex.join([*_grant(vault, grant), principal])


def _grant(vault: VaultResource, grant: Grant) -> list[str]:
    """Return the words of the command, to which the principal's object id is added."""
    if isinstance(vault.id, Unknown) or isinstance(vault.rbac, Unknown):
        raise InvalidInputError("a grant depends on the vault's id, and on whether roles decide")
    if vault.rbac:
        if grant.role is None:
            raise UnsupportedError(
                "no role gives what is needed", remedy="use a vault with access policies"
            )
        words = ["az", "role", "assignment", "create", "--role", grant.role[0]]
        words += ["--assignee-principal-type", "ServicePrincipal", "--scope", str(vault.id)]
        return [*words, "--assignee-object-id"]
    words = ["az", "keyvault", "set-policy", *az_named(vault.id)]
    for option, permissions in (("--key", grant.keys), ("--secret", grant.secrets)):
        if permissions:
            words += [f"{option}-permissions", *sorted(permissions)]
    return [*words, "--object-id"]


def az_vault_update(vault: ArmId, wanted: VaultResource) -> str:
    """Return the command that gives a vault what is wanted of it.

    Args:
        vault: the vault's ARM id.
        wanted: a vault whose fields are True where something is to be turned on.
    """
    options = {
        "--enabled-for-disk-encryption": wanted.for_disk_encryption,
        "--enabled-for-deployment": wanted.for_deployment,
        "--enabled-for-template-deployment": wanted.for_template_deployment,
        "--enable-purge-protection": wanted.purge_protection,
    }
    words = [word for option, on in options.items() if on is True for word in (option, "true")]
    return shlex.join(["az", "keyvault", "update", *az_named(vault), *words])


def az_grant_to_set(vault: VaultResource, set_id: ArmId, grant: Grant) -> str:
    """Return the command that gives a set's own identity what it needs.

    The shell asks Azure for the identity, which is not known before the set is made.

    Raises:
        InvalidInputError, UnsupportedError: as :func:`az_grant`.
    """
    words = ["az", "disk-encryption-set", "show", *az_named(set_id)]
    return _grant_to(vault, grant, [*words, "--query", "identity.principalId"])


def az_grant_to_identity(vault: VaultResource, identity: ArmId, grant: Grant) -> str:
    """Return the command that gives a user-assigned identity what it needs.

    Raises:
        InvalidInputError, UnsupportedError: as :func:`az_grant`.
    """
    words = ["az", "identity", "show", "--ids", str(identity)]
    return _grant_to(vault, grant, [*words, "--query", "principalId"])


def az_grant_to_application(vault: VaultResource, client_id: str, grant: Grant) -> str:
    """Return the command that gives an application what it needs.

    The shell asks Entra for the object id of its service principal, which is not its client id.

    Raises:
        InvalidInputError, UnsupportedError: as :func:`az_grant`.
    """
    return _grant_to(vault, grant, ["az", "ad", "sp", "show", "--id", client_id, "--query", "id"])


def _grant_to(vault: VaultResource, grant: Grant, whom: list[str]) -> str:
    asked = shlex.join([*whom, "--output", "tsv"])
    return f'{shlex.join(_grant(vault, grant))} "$({asked})"'


def az_set_update(resource: SetResource) -> str:
    """Return the command that lets a set refer to its key."""
    words = ["az", "disk-encryption-set", "update", *az_named(resource.id)]
    words += ["--key-url", str(resource.key)]
    if resource.vault is not None:
        words += ["--source-vault", str(resource.vault)]
    words += ["--enable-auto-key-rotation", str(resource.follow_latest).lower()]
    return shlex.join(words)
