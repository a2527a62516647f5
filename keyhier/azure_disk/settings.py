"""The settings of the Azure Disk Encryption extension, for both generations and both systems.

Built from keyhier's own types, and parsed back from JSON. Secrets never stand in them: a template
takes the application's secret and the passphrase as secure parameters, by name.
https://learn.microsoft.com/azure/virtual-machines/extensions/azure-disk-enc-windows and
https://learn.microsoft.com/azure/virtual-machines/extensions/azure-disk-enc-linux
"""

from __future__ import annotations

import re
import uuid
from enum import StrEnum
from typing import Any, Final

import attrs

from keyhier.azure_disk.addresses import KekAddress, VaultAddress
from keyhier.azure_disk.labels import ALGORITHMS, read_algorithm
from keyhier.azure_disk.reading import given_id, given_text, needed_text, properties_of
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.placement.ade_model import read_volumes
from keyhier.placement.model import System, Volumes
from keyhier.placement.node import Node
from keyhier.placement.unknown import Unknown

__all__ = ["Application", "ExtensionSettings", "Generation", "Operation"]

COMPUTE_API: Final = "2026-03-01"
_PUBLISHER: Final = "Microsoft.Azure.Security"
_TYPES: Final = {
    System.WINDOWS: "AzureDiskEncryption",
    System.LINUX: "AzureDiskEncryptionForLinux",
}
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_PARAMETER: Final = re.compile(rf"\[parameters\('(?P<name>{_NAME.pattern})'\)\]")


class Generation(StrEnum):
    """The two generations of Azure Disk Encryption."""

    SINGLE_PASS = "single-pass"  # noqa: S105  # It is the name of a generation.
    """Without an application: the host writes the secret."""

    DUAL_PASS = "dual-pass"  # noqa: S105  # It is the name of a generation.
    """The previous one, with an application of Entra that lets the guest write the secret."""


_VERSIONS: Final = {
    (System.WINDOWS, Generation.SINGLE_PASS): "2.2",
    (System.WINDOWS, Generation.DUAL_PASS): "1.1",
    (System.LINUX, Generation.SINGLE_PASS): "1.1",
    (System.LINUX, Generation.DUAL_PASS): "0.1",
}


class Operation(StrEnum):
    """What the extension is to do."""

    ENABLE = "EnableEncryption"
    ENABLE_FORMAT_ALL = "EnableEncryptionFormatAll"
    DISABLE = "DisableEncryption"
    UPDATE = "UpdateEncryptionSettings"
    QUERY = "QueryEncryptionStatus"


_WITH_VAULT: Final = frozenset({Operation.ENABLE, Operation.ENABLE_FORMAT_ALL, Operation.UPDATE})


def _check_parameter(name: str | None) -> None:
    # The name goes into an expression of ARM and into a shell's command.
    if name is not None and not _NAME.fullmatch(name):
        raise InvalidInputError(
            "a parameter's name has letters, digits and underscores, and begins with no digit"
        )


@attrs.frozen
class Application:
    """The application of Entra that the previous generation writes secrets with.

    Attributes:
        client_id: its id.
        thumbprint: of the certificate that it proves itself with, or None.
        secret_parameter: the name of the template's secure parameter for its secret, or None.
    """

    client_id: str
    thumbprint: str | None = None
    secret_parameter: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.thumbprint is None) == (self.secret_parameter is None):
            raise InvalidInputError(
                "an application proves itself with a certificate or a secret, and not with both"
            )
        _check_parameter(self.secret_parameter)


@attrs.frozen(kw_only=True)
class ExtensionSettings:
    """What the extension is told.

    Attributes:
        system: the machine's system.
        operation: what is to be done.
        volumes: which volumes it is for.
        vault: the vault for the secrets.
        kek: the key that wraps them, or None.
        generation: with or without an application.
        application: for the previous generation.
        passphrase_parameter: the name of the template's secure parameter for a passphrase of
            one's own (Linux), or None.
        sequence_version: a GUID that must change for the extension to run again; None where a
            document relies on another mark, such as ``forceUpdateTag``.
    """

    system: System
    operation: Operation
    volumes: Volumes = Volumes.ALL
    vault: VaultAddress | None = None
    kek: KekAddress | None = None
    generation: Generation = Generation.SINGLE_PASS
    application: Application | None = None
    passphrase_parameter: str | None = None
    sequence_version: str | None = attrs.field(factory=lambda: str(uuid.uuid4()))

    def __attrs_post_init__(self) -> None:
        self._check_system()
        self._check_generation()
        _check_parameter(self.passphrase_parameter)
        enabling = self.operation in _WITH_VAULT
        if enabling and self.vault is None:
            raise InvalidInputError(f"{self.operation} names a vault for the secrets")
        if not enabling and (self.vault or self.kek):
            raise InvalidInputError(f"{self.operation} takes no vault and no key")
        if self.sequence_version is not None and not _GUID.fullmatch(self.sequence_version):
            raise InvalidInputError(f"{self.sequence_version!r:.80} is no GUID")

    def _check_system(self) -> None:
        if self.system is System.LINUX:
            if self.operation is Operation.DISABLE and self.volumes is not Volumes.DATA:
                raise InvalidInputError(
                    "encryption of a Linux OS volume cannot be disabled",
                    remedy="disable that of data volumes, or make a new machine",
                )
        elif self.operation is Operation.ENABLE_FORMAT_ALL:
            raise InvalidInputError(f"{self.operation} is for Linux alone")
        elif self.passphrase_parameter is not None:
            raise InvalidInputError("a passphrase is for Linux alone")
        if self.operation is Operation.ENABLE_FORMAT_ALL and self.volumes is Volumes.OS:
            raise InvalidInputError(f"{self.operation} formats data volumes, and not the OS volume")

    def _check_generation(self) -> None:
        previous = self.generation is Generation.DUAL_PASS
        enabling = self.operation in _WITH_VAULT
        if enabling and previous != (self.application is not None):
            raise InvalidInputError("dual-pass needs an application, and single-pass takes none")
        if self.application is not None and not previous:
            raise InvalidInputError("single-pass takes no application")
        if enabling and not previous and self.vault is not None and self.vault.id is None:
            raise InvalidInputError("single-pass needs the ARM id of the vault")
        if enabling and not previous and self.kek is not None and self.kek.vault is None:
            raise InvalidInputError("single-pass needs the ARM id of the key's vault")

    @property
    def type(self) -> str:
        """The extension's type."""
        return _TYPES[self.system]

    @property
    def version(self) -> str:
        """The extension's version: typeHandlerVersion."""
        return _VERSIONS[self.system, self.generation]

    def as_settings(self) -> dict[str, str]:
        """Return the public settings."""
        settings: dict[str, str | None] = {
            "EncryptionOperation": self.operation.value,
            "VolumeType": self.volumes.value,
            "SequenceVersion": self.sequence_version,
        }
        if self.application is not None:
            settings["AADClientID"] = self.application.client_id
            settings["AADClientCertThumbprint"] = self.application.thumbprint
        if self.vault is not None:
            settings["KeyVaultURL"] = self.vault.url
            settings["KeyVaultResourceId"] = str(self.vault.id) if self.vault.id else None
        if self.kek is not None:
            settings["KeyEncryptionKeyURL"] = str(self.kek.id)
            settings["KekVaultResourceId"] = str(self.kek.vault) if self.kek.vault else None
            settings["KeyEncryptionAlgorithm"] = self.kek.algorithm.value
        return {name: value for name, value in settings.items() if value is not None}

    def as_protected_settings(self) -> dict[str, str]:
        """Return the protected settings: references to a template's secure parameters."""
        secret = self.application.secret_parameter if self.application else None
        named = {"AADClientSecret": secret, "Passphrase": self.passphrase_parameter}
        return {
            name: f"[parameters('{parameter}')]"
            for name, parameter in named.items()
            if parameter is not None
        }

    def as_properties(self) -> dict[str, Any]:
        """Return the properties of the extension as a resource."""
        properties: dict[str, Any] = {
            "publisher": _PUBLISHER,
            "type": self.type,
            "typeHandlerVersion": self.version,
            "autoUpgradeMinorVersion": True,
            "settings": self.as_settings(),
        }
        protected = self.as_protected_settings()
        if protected:
            properties["protectedSettings"] = protected
        return properties

    def as_resource(self, machine: str, location: str) -> dict[str, Any]:
        """Return the extension as a resource of an ARM template.

        Args:
            machine: the machine's name.
            location: its region.
        """
        return {
            "type": "Microsoft.Compute/virtualMachines/extensions",
            "apiVersion": COMPUTE_API,
            "name": f"{machine}/{self.type}",
            "location": location,
            "properties": self.as_properties(),
        }

    @classmethod
    def parse(cls, document: object) -> ExtensionSettings:
        """Read an extension: a resource, its properties, or what ``az vm extension show`` prints.

        Raises:
            InvalidInputError: it is none of Azure Disk Encryption's, or its settings contradict
                each other; the message names the place.
        """
        properties = properties_of(document)
        settings = properties.at("settings")
        for name in ("typePropertiesType", "type", "typeHandlerVersion"):
            given_text(properties.at(name))
        ((system, generation),) = read_kinds(properties)
        needed_text(settings.at("EncryptionOperation"))
        (operation,) = read_operations(settings)
        volumes = read_volumes(settings.at("VolumeType"))
        if isinstance(volumes, Unknown):
            raise settings.at("VolumeType").wrong("OS, Data or All")
        return cls(
            system=system,
            operation=operation,
            volumes=volumes,
            vault=_vault(settings),
            kek=_kek(settings),
            generation=generation,
            application=_application(settings, properties.at("protectedSettings")),
            passphrase_parameter=read_parameter(properties.at("protectedSettings", "Passphrase")),
            sequence_version=given_text(settings.at("SequenceVersion")),
        )


def read_kinds(properties: Node) -> list[tuple[System, Generation]]:
    """Return the systems and generations that an extension's type and version may mean.

    Raises:
        InvalidInputError: they mean none.
    """
    names = [properties.at(name).text() for name in ("typePropertiesType", "type")]
    known = {name.casefold() for name in names if isinstance(name, str)}
    systems = [system for system, name in _TYPES.items() if name.casefold() in known]
    if not systems and any(isinstance(name, Unknown) for name in names):
        systems = list(System)
    if not systems:
        raise properties.at("type").wrong(f"one of {', '.join(_TYPES.values())}")
    if len(known) > 1 and len(systems) > 1:
        raise properties.at("type").wrong("the same as typePropertiesType")
    version = properties.at("typeHandlerVersion").text()
    if version is None:
        raise properties.at("typeHandlerVersion").wrong("a value belongs here")
    found = [
        (system, generation)
        for system in systems
        for generation in Generation
        # A version may go on: 2.2.0.19 is one of 2.2.
        if isinstance(version, Unknown)
        or f"{version}.".startswith(f"{_VERSIONS[system, generation]}.")
    ]
    if not found:
        raise properties.at("typeHandlerVersion").wrong("a version of one of the generations")
    return found


def read_operations(settings: Node) -> list[Operation]:
    """Return the operations that may be meant.

    Raises:
        InvalidInputError: it is none.
    """
    node = settings.at("EncryptionOperation")
    name = node.text()
    if isinstance(name, Unknown):
        return list(Operation)
    if name not in list(Operation):
        raise node.wrong(f"one of {', '.join(Operation)}")
    return [Operation(name)]


def _vault(settings: Node) -> VaultAddress | None:
    url = given_text(settings.at("KeyVaultURL"))
    if url is None:
        return None
    return VaultAddress.parse(url, given_id(settings.at("KeyVaultResourceId")))


def _kek(settings: Node) -> KekAddress | None:
    url = given_text(settings.at("KeyEncryptionKeyURL"))
    if url is None:
        return None
    # Without a key the algorithm is written all the same, and means nothing.
    name = given_text(settings.at("KeyEncryptionAlgorithm"))
    return KekAddress(
        KeyId.parse(url.removesuffix("/")),
        read_algorithm(name or ALGORITHMS[0]),
        given_id(settings.at("KekVaultResourceId")),
    )


def _application(settings: Node, protected: Node) -> Application | None:
    client_id = given_text(settings.at("AADClientID"))
    if client_id is None:
        return None
    secret = read_parameter(protected.at("AADClientSecret"))
    return Application(client_id, given_text(settings.at("AADClientCertThumbprint")), secret)


def read_parameter(node: Node) -> str | None:
    """Return the name of the secure parameter that stands for a secret, or None without one.

    Raises:
        InvalidInputError: something else stands there, which is not shown.
    """
    if node.absent:
        return None
    found = _PARAMETER.fullmatch(node.value) if isinstance(node.value, str) else None
    if found is None:
        # The value is not shown: it may be the secret itself.
        raise InvalidInputError(
            f"{node.pointer}: a secret belongs in a secure parameter, not in the document",
            remedy="write [parameters('NAME')] and give the value when it is deployed",
        )
    return found["name"]
