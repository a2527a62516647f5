"""The resources of the provider azurerm, each as ARM would store it."""

from __future__ import annotations

import json

from keyhier.placement.terraform.plan import Plan, Planned, first, member
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = [
    "disk",
    "encryption_set",
    "extension",
    "extension_of",
    "extension_properties",
    "image",
    "machine",
    "managed_disk",
    "secrets",
    "security",
    "snapshot",
    "vault",
]


def machine(plan: Plan, each: Planned) -> dict[str, object]:
    """A machine, with the disks that are attached to it."""
    system = "Windows" if "windows" in each.kind else "Linux"
    os_disk = {
        "name": plan.value(each, "os_disk", "name"),
        "osType": system,
        "createOption": "FromImage",
        "managedDisk": managed_disk(plan, each, "os_disk"),
        "diffDiskSettings": {"option": plan.value(each, "os_disk", "diff_disk_settings", "option")},
    }
    attached = plan.attached(each)
    data: object = UNKNOWN
    if not isinstance(attached, Unknown):
        data = [{"createOption": "Attach", "managedDisk": {"id": one}} for one in attached]
    return {
        "properties": {
            "hardwareProfile": {"vmSize": plan.value(each, "size")},
            "osProfile": {"secrets": secrets(plan, each)},
            "storageProfile": {
                "imageReference": image(plan, each),
                "osDisk": os_disk,
                "dataDisks": data,
            },
            "securityProfile": security(plan, each),
        }
    }


def managed_disk(plan: Plan, each: Planned, *path: str | int) -> dict[str, object]:
    """The managed disk that a machine's block describes."""
    return {
        "storageAccountType": plan.value(each, *path, "storage_account_type"),
        "diskEncryptionSet": {"id": _set_id(plan, each, *path)},
    }


def _set_id(plan: Plan, each: Planned, *path: str | int) -> Maybe[str | None]:
    own = plan.reference(each, *path, "disk_encryption_set_id")
    if own is not None:
        return own
    return plan.reference(each, *path, "secure_vm_disk_encryption_set_id")


def security(plan: Plan, each: Planned) -> dict[str, object]:
    """The security profile of a machine."""
    return {
        "encryptionAtHost": plan.value(each, "encryption_at_host_enabled"),
        "securityType": _security_type(plan, each),
    }


def secrets(plan: Plan, each: Planned) -> object:
    """The certificates that a machine is given, of one vault or of some unknown one."""
    found = plan.value(each, "secret")
    if found is None or found == [] or isinstance(found, Unknown):
        return found
    several = isinstance(found, list) and len(found) > 1
    vault = UNKNOWN if several else plan.reference(each, "secret", "key_vault_id")
    return [{"sourceVault": {"id": vault}}]


def _security_type(plan: Plan, each: Planned) -> Maybe[str | None]:
    told = [plan.value(each, name) for name in ("secure_boot_enabled", "vtpm_enabled")]
    if True in told:
        return "TrustedLaunch"
    return UNKNOWN if UNKNOWN in told else None


def image(plan: Plan, each: Planned) -> object:
    """The image that a machine is made from."""
    if plan.value(each, "source_image_id") is not None:
        return {"id": plan.value(each, "source_image_id")}
    return first(plan.value(each, "source_image_reference"))


def disk(plan: Plan, each: Planned) -> dict[str, object]:
    """A managed disk."""
    created = {
        "createOption": plan.value(each, "create_option"),
        "sourceResourceId": plan.reference(each, "source_resource_id"),
    }
    return {
        "sku": {"name": plan.value(each, "storage_account_type")},
        "properties": {
            "creationData": created,
            "encryption": {"diskEncryptionSetId": _set_id(plan, each)},
            **_disk_settings(plan, each),
        },
    }


def snapshot(plan: Plan, each: Planned) -> dict[str, object]:
    """A snapshot; the provider gives it the set of its disk."""
    source = plan.reference(each, "source_resource_id")
    if source is None:
        source = plan.reference(each, "source_uri")
    created = {
        "createOption": plan.value(each, "create_option"),
        "sourceResourceId": source,
    }
    return {
        "properties": {
            "creationData": created,
            "incremental": plan.value(each, "incremental_enabled"),
            "encryption": {"diskEncryptionSetId": UNKNOWN},
            **_disk_settings(plan, each),
        }
    }


def _disk_settings(plan: Plan, each: Planned) -> dict[str, object]:
    settings = first(plan.value(each, "encryption_settings"))
    if settings is None or isinstance(settings, Unknown):
        return {} if settings is None else {"encryptionSettingsCollection": UNKNOWN}
    element: dict[str, object] = {}
    for block, name, url in (
        ("disk_encryption_key", "diskEncryptionKey", "secretUrl"),
        ("key_encryption_key", "keyEncryptionKey", "keyUrl"),
    ):
        path = ("encryption_settings", block)
        if first(plan.value(each, *path)) is not None:
            key = "secret_url" if url == "secretUrl" else "key_url"
            element[name] = {
                url: plan.value(each, *path, key),
                "sourceVault": {"id": plan.reference(each, *path, "source_vault_id")},
            }
    enabled = member(settings, "enabled")
    collection = {
        "enabled": True if enabled is None else enabled,
        "encryptionSettings": [element],
    }
    return {"encryptionSettingsCollection": collection}


def encryption_set(plan: Plan, each: Planned) -> dict[str, object]:
    """A disk encryption set."""
    url = plan.value(each, "key_vault_key_id")
    if url is None:
        url = plan.value(each, "managed_hsm_key_id")
    kind = plan.value(each, "identity", "type")
    identities = plan.value(each, "identity", "identity_ids")
    named: dict[str, object] = (
        {str(one): {} for one in identities} if isinstance(identities, list) else {}
    )
    identity = {
        "type": kind,
        "userAssignedIdentities": UNKNOWN if isinstance(identities, Unknown) else named,
    }
    active: dict[str, object] = {"keyUrl": url}
    if isinstance(url, Unknown):
        active["sourceVault"] = {"id": _vault_of_key(plan, each)}
    encryption = plan.value(each, "encryption_type")
    if encryption is None:
        encryption = "EncryptionAtRestWithCustomerKey"
    return {
        "identity": identity,
        "properties": {
            "activeKey": active,
            "encryptionType": encryption,
            "rotationToLatestKeyVersionEnabled": plan.value(each, "auto_key_rotation_enabled"),
            "federatedClientId": plan.value(each, "federated_client_id"),
        },
    }


def _vault_of_key(plan: Plan, each: Planned) -> Maybe[str | None]:
    """Return the vault of the key that the plan makes for a set."""
    key = plan.target(each, "key_vault_key_id")
    # The id of any other resource that is made into a key's URL is no vault's.
    made = key is not None and key.kind == "azurerm_key_vault_key"
    return plan.reference(key, "key_vault_id") if key is not None and made else UNKNOWN


def vault(plan: Plan, each: Planned) -> dict[str, object]:
    """A key vault."""
    roles = plan.value(each, "rbac_authorization_enabled")
    if roles is None:
        roles = plan.value(each, "enable_rbac_authorization")
    return {
        "properties": {
            "tenantId": plan.value(each, "tenant_id"),
            "vaultUri": plan.value(each, "vault_uri"),
            "enabledForDiskEncryption": plan.value(each, "enabled_for_disk_encryption"),
            "enabledForDeployment": plan.value(each, "enabled_for_deployment"),
            "enabledForTemplateDeployment": plan.value(each, "enabled_for_template_deployment"),
            "enablePurgeProtection": plan.value(each, "purge_protection_enabled"),
            "enableRbacAuthorization": roles,
        }
    }


def extension(plan: Plan, each: Planned) -> dict[str, object]:
    """An extension of a machine."""
    return extension_of(
        plan, each, "Microsoft.Compute/virtualMachines/extensions", "virtual_machine_id"
    )


def extension_of(plan: Plan, each: Planned, kind: str, owner: str) -> dict[str, object]:
    """An extension that stands apart, of the machine or scale set that it names."""
    identity, name = plan.reference(each, owner), plan.value(each, "name")
    known = isinstance(identity, str) and isinstance(name, str)
    return {
        "type": kind,
        "id": f"{identity}/extensions/{name}" if known else UNKNOWN,
        "name": UNKNOWN,
        "properties": extension_properties(plan, each),
    }


def extension_properties(plan: Plan, each: Planned, *path: str | int) -> dict[str, object]:
    """What an extension is, and its settings."""
    return {
        "publisher": plan.value(each, *path, "publisher"),
        "type": plan.value(each, *path, "type"),
        "typeHandlerVersion": plan.value(each, *path, "type_handler_version"),
        "settings": _settings(plan.value(each, *path, "settings")),
    }


def _settings(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return UNKNOWN
