"""Reads Terraform's plans as ``terraform show -json`` prints them.

https://developer.hashicorp.com/terraform/internals/json-format. The resources of the provider
azurerm become the documents that ARM would store. An id that only the apply makes is told by what
the configuration refers to: within one plan, ``azurerm_disk_encryption_set.this.id`` is that set.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from keyhier.placement.arm.deployment import Deployment, Problems
from keyhier.placement.arm_id import own_group
from keyhier.placement.json_text import below
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = ["is_plan", "read_plan"]

_MAX_DEPTH: Final = 50
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
# Of the provider's resources, these would matter too, and have no reader here.
_NOT_READ: Final = frozenset(
    {
        "azurerm_linux_virtual_machine_scale_set",
        "azurerm_orchestrated_virtual_machine_scale_set",
        "azurerm_virtual_machine",
        "azurerm_virtual_machine_scale_set",
        "azurerm_virtual_machine_scale_set_extension",
        "azurerm_windows_virtual_machine_scale_set",
        "azurerm_key_vault_managed_hardware_security_module",
    }
)
_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "azurerm_linux_virtual_machine": "Microsoft.Compute/virtualMachines",
        "azurerm_windows_virtual_machine": "Microsoft.Compute/virtualMachines",
        "azurerm_managed_disk": "Microsoft.Compute/disks",
        "azurerm_snapshot": "Microsoft.Compute/snapshots",
        "azurerm_disk_encryption_set": "Microsoft.Compute/diskEncryptionSets",
        "azurerm_key_vault": "Microsoft.KeyVault/vaults",
    }
)
_EXTENSION: Final = "azurerm_virtual_machine_extension"
_ATTACHMENT: Final = "azurerm_virtual_machine_data_disk_attachment"


def is_plan(document: Mapping[str, Any]) -> bool:
    """Whether a document is Terraform's plan or state."""
    return "format_version" in document and ("planned_values" in document or "values" in document)


def read_plan(
    document: Mapping[str, Any], deployment: Deployment, problems: Problems
) -> Iterator[tuple[dict[str, object], str]]:
    """Yield the resources of a plan, each as ARM would store it, and its place.

    Args:
        document: the plan.
        deployment: where it is applied.
        problems: where what is not read is told.
    """
    values = "planned_values" if "planned_values" in document else "values"
    root = _mapping(_mapping(document[values]).get("root_module"))
    configuration = _mapping(_mapping(document.get("configuration")).get("root_module"))
    found = list(_planned(root, below("", values, "root_module"), configuration, 0))
    unknown = {
        str(each.get("address")): _mapping(_mapping(each.get("change")).get("after_unknown"))
        for each in _list(document.get("resource_changes"))
        if isinstance(each, dict)
    }
    plan = _Plan(found, unknown, deployment)
    for each in found:
        if each.kind in _NOT_READ:
            problems.add(each.pointer, f"{each.kind} is not read", is_error=False)
    for each in found:
        content = plan.document(each)
        if content is not None:
            yield content, each.pointer


@attrs.frozen(eq=False)
class _Planned:
    """A resource as the plan has it, and what its configuration says of it."""

    address: str
    module: str
    kind: str
    values: Mapping[str, Any]
    expressions: Mapping[str, Any]
    pointer: str


def _planned(
    module: Mapping[str, Any], pointer: str, configuration: Mapping[str, Any], depth: int
) -> Iterator[_Planned]:
    configured = {
        str(each.get("address")): _mapping(each.get("expressions"))
        for each in _list(configuration.get("resources"))
        if isinstance(each, dict)
    }
    path = str(module.get("address", ""))
    for number, each in enumerate(_list(module.get("resources"))):
        if isinstance(each, dict) and each.get("mode") == "managed":
            plain = f"{each.get('type')}.{each.get('name')}"
            yield _Planned(
                str(each.get("address")),
                path,
                str(each.get("type")),
                _mapping(each.get("values")),
                configured.get(plain, {}),
                below(pointer, "resources", number),
            )
    if depth < _MAX_DEPTH:
        calls = _mapping(configuration.get("module_calls"))
        for number, child in enumerate(_list(module.get("child_modules"))):
            name = str(_mapping(child).get("address", "")).rpartition("module.")[2]
            inner = _mapping(_mapping(calls.get(name.partition("[")[0])).get("module"))
            place = below(pointer, "child_modules", number)
            yield from _planned(_mapping(child), place, inner, depth + 1)


class _Plan:
    """The resources of a plan by what others call them."""

    def __init__(
        self,
        found: list[_Planned],
        unknown: Mapping[str, Mapping[str, Any]],
        deployment: Deployment,
    ) -> None:
        self._unknown = unknown
        self._deployment = deployment
        self._by_plain_address: dict[tuple[str, str], list[_Planned]] = defaultdict(list)
        self._attached: dict[str, list[Maybe[str | None]]] = defaultdict(list)
        self._stray = False
        for each in found:
            local = each.address.removeprefix(f"{each.module}.").partition("[")[0]
            self._by_plain_address[each.module, local].append(each)
        for each in found:
            if each.kind == _ATTACHMENT:
                machine = self._reference(each, "virtual_machine_id")
                if isinstance(machine, str):
                    self._attached[machine.casefold()].append(
                        self._reference(each, "managed_disk_id")
                    )
                else:
                    self._stray = True

    def document(self, each: _Planned) -> dict[str, object] | None:
        """Return a resource as ARM would store it, or None where it is of no type that is read."""
        if each.kind == _EXTENSION:
            return self._extension(each)
        if each.kind not in _TYPES:
            return None
        return {
            "type": _TYPES[each.kind],
            "id": self._id(each),
            "name": self.value(each, "name"),
            "location": self.value(each, "location"),
            **_READERS[each.kind](self, each),
        }

    def value(self, each: _Planned, *path: str) -> object:
        """Return a value; UNKNOWN where only the apply tells it."""
        unknown: object = self._unknown.get(each.address, {})
        value: object = each.values
        for name in path:
            if unknown is True:
                return UNKNOWN
            unknown, value = _below(unknown, name), _below(value, name)
        return UNKNOWN if unknown is True else value

    def _id(self, each: _Planned) -> Maybe[str]:
        known = self.value(each, "id")
        if isinstance(known, str):
            return known
        name, group = self.value(each, "name"), self.value(each, "resource_group_name")
        if not isinstance(name, str):
            # Its address tells it from the others of the plan, in a group that nobody knows.
            name, group = _NO_NAME.sub("-", each.address)[-80:], own_group(each.address)
        group = group if isinstance(group, str) else self._deployment.group_name
        scope = f"/subscriptions/{self._deployment.subscription_id}/resourceGroups/{group}"
        kind = _TYPES.get(each.kind, "")
        return f"{scope}/providers/{kind}/{name}"

    def _reference(self, each: _Planned, *path: str) -> Maybe[str | None]:
        """Return the id that a resource names, if need be by what the configuration refers to."""
        value = self.value(each, *path)
        if isinstance(value, str) or value is None:
            return value or None
        expression: object = each.expressions
        for name in path:
            expression = _below(expression, name)
        named = _list(_mapping(expression).get("references"))
        ids = [str(text).removesuffix(".id") for text in named if str(text).endswith(".id")]
        if len(ids) != 1:
            return UNKNOWN
        targets = self._by_plain_address.get((each.module, ids[0].partition("[")[0]), [])
        if "[" in ids[0]:
            targets = [target for target in targets if target.address.endswith(ids[0])]
        # Of several, nobody can tell which one is meant.
        return self._id(targets[0]) if len(targets) == 1 else UNKNOWN

    def machine(self, each: _Planned) -> dict[str, object]:
        """A machine, with the disks that are attached to it."""
        system = "Windows" if "windows" in each.kind else "Linux"
        own = self._reference(each, "os_disk", "disk_encryption_set_id")
        secure = self._reference(each, "os_disk", "secure_vm_disk_encryption_set_id")
        managed = {
            "storageAccountType": self.value(each, "os_disk", "storage_account_type"),
            "diskEncryptionSet": {"id": secure if own is None else own},
        }
        os_disk = {
            "name": self.value(each, "os_disk", "name"),
            "osType": system,
            "createOption": "FromImage",
            "managedDisk": managed,
            "diffDiskSettings": {
                "option": self.value(each, "os_disk", "diff_disk_settings", "option")
            },
        }
        identity = self._id(each)
        attached = self._attached.get(str(identity).casefold(), [])
        data: object = [{"createOption": "Attach", "managedDisk": {"id": one}} for one in attached]
        host = self.value(each, "encryption_at_host_enabled")
        return {
            "properties": {
                "hardwareProfile": {"vmSize": self.value(each, "size")},
                "osProfile": {"secrets": self._secrets(each)},
                "storageProfile": {
                    "imageReference": self._image(each),
                    "osDisk": os_disk,
                    # An attachment whose machine is not known may be this one's.
                    "dataDisks": UNKNOWN if self._stray else data,
                },
                "securityProfile": {
                    "encryptionAtHost": host,
                    "securityType": self._security_type(each),
                },
            }
        }

    def _secrets(self, each: _Planned) -> object:
        """Return the certificates that a machine is given, of one vault or of some unknown one."""
        found = self.value(each, "secret")
        if found is None or found == [] or isinstance(found, Unknown):
            return found
        several = isinstance(found, list) and len(found) > 1
        vault = UNKNOWN if several else self._reference(each, "secret", "key_vault_id")
        return [{"sourceVault": {"id": vault}}]

    def _security_type(self, each: _Planned) -> Maybe[str | None]:
        told = [self.value(each, name) for name in ("secure_boot_enabled", "vtpm_enabled")]
        if True in told:
            return "TrustedLaunch"
        return UNKNOWN if UNKNOWN in told else None

    def _image(self, each: _Planned) -> object:
        if self.value(each, "source_image_id") is not None:
            return {"id": self.value(each, "source_image_id")}
        return _first(self.value(each, "source_image_reference"))

    def disk(self, each: _Planned) -> dict[str, object]:
        """A managed disk."""
        created = {
            "createOption": self.value(each, "create_option"),
            "sourceResourceId": self._reference(each, "source_resource_id"),
        }
        own = self._reference(each, "disk_encryption_set_id")
        secure = self._reference(each, "secure_vm_disk_encryption_set_id")
        return {
            "sku": {"name": self.value(each, "storage_account_type")},
            "properties": {
                "creationData": created,
                "encryption": {"diskEncryptionSetId": secure if own is None else own},
                **self._settings(each),
            },
        }

    def snapshot(self, each: _Planned) -> dict[str, object]:
        """A snapshot; the provider gives it the set of its disk."""
        source = self._reference(each, "source_resource_id")
        if source is None:
            source = self._reference(each, "source_uri")
        created = {
            "createOption": self.value(each, "create_option"),
            "sourceResourceId": source,
        }
        return {
            "properties": {
                "creationData": created,
                "incremental": self.value(each, "incremental_enabled"),
                "encryption": {"diskEncryptionSetId": UNKNOWN},
                **self._settings(each),
            }
        }

    def _settings(self, each: _Planned) -> dict[str, object]:
        settings = _first(self.value(each, "encryption_settings"))
        if settings is None or isinstance(settings, Unknown):
            return {} if settings is None else {"encryptionSettingsCollection": UNKNOWN}
        element: dict[str, object] = {}
        for block, name, url in (
            ("disk_encryption_key", "diskEncryptionKey", "secretUrl"),
            ("key_encryption_key", "keyEncryptionKey", "keyUrl"),
        ):
            path = ("encryption_settings", block)
            if _first(self.value(each, *path)) is not None:
                key = "secret_url" if url == "secretUrl" else "key_url"
                element[name] = {
                    url: self.value(each, *path, key),
                    "sourceVault": {"id": self._reference(each, *path, "source_vault_id")},
                }
        enabled = _below(settings, "enabled")
        collection = {
            "enabled": True if enabled is None else enabled,
            "encryptionSettings": [element],
        }
        return {"encryptionSettingsCollection": collection}

    def encryption_set(self, each: _Planned) -> dict[str, object]:
        """A disk encryption set."""
        url = self.value(each, "key_vault_key_id")
        if url is None:
            url = self.value(each, "managed_hsm_key_id")
        kind = self.value(each, "identity", "type")
        identities = self.value(each, "identity", "identity_ids")
        named: dict[str, object] = (
            {str(one): {} for one in identities} if isinstance(identities, list) else {}
        )
        identity = {
            "type": kind,
            "userAssignedIdentities": UNKNOWN if isinstance(identities, Unknown) else named,
        }
        encryption = self.value(each, "encryption_type")
        if encryption is None:
            encryption = "EncryptionAtRestWithCustomerKey"
        return {
            "identity": identity,
            "properties": {
                "activeKey": {"keyUrl": url},
                "encryptionType": encryption,
                "rotationToLatestKeyVersionEnabled": self.value(each, "auto_key_rotation_enabled"),
                "federatedClientId": self.value(each, "federated_client_id"),
            },
        }

    def vault(self, each: _Planned) -> dict[str, object]:
        """A key vault."""
        roles = self.value(each, "rbac_authorization_enabled")
        if roles is None:
            roles = self.value(each, "enable_rbac_authorization")
        return {
            "properties": {
                "tenantId": self.value(each, "tenant_id"),
                "vaultUri": self.value(each, "vault_uri"),
                "enabledForDiskEncryption": self.value(each, "enabled_for_disk_encryption"),
                "enabledForDeployment": self.value(each, "enabled_for_deployment"),
                "enabledForTemplateDeployment": self.value(each, "enabled_for_template_deployment"),
                "enablePurgeProtection": self.value(each, "purge_protection_enabled"),
                "enableRbacAuthorization": roles,
            }
        }

    def _extension(self, each: _Planned) -> dict[str, object]:
        machine = self._reference(each, "virtual_machine_id")
        name = self.value(each, "name")
        known = isinstance(machine, str) and isinstance(name, str)
        return {
            "type": "Microsoft.Compute/virtualMachines/extensions",
            "id": f"{machine}/extensions/{name}" if known else UNKNOWN,
            "name": UNKNOWN,
            "properties": {
                "publisher": self.value(each, "publisher"),
                "type": self.value(each, "type"),
                "typeHandlerVersion": self.value(each, "type_handler_version"),
                "settings": _settings(self.value(each, "settings")),
            },
        }


def _settings(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return UNKNOWN


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(value: object) -> object:
    """Return the block in a list of one; Terraform writes each block as a list."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def _below(value: object, name: str) -> object:
    found = _first(value)
    return found.get(name) if isinstance(found, dict) else None


_READERS: Final[Mapping[str, Callable[[_Plan, _Planned], dict[str, object]]]] = MappingProxyType(
    {
        "azurerm_linux_virtual_machine": _Plan.machine,
        "azurerm_windows_virtual_machine": _Plan.machine,
        "azurerm_managed_disk": _Plan.disk,
        "azurerm_snapshot": _Plan.snapshot,
        "azurerm_disk_encryption_set": _Plan.encryption_set,
        "azurerm_key_vault": _Plan.vault,
    }
)
