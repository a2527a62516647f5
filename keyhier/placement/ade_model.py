"""Reads what ARM's documents say of Azure Disk Encryption."""

from __future__ import annotations

from typing import Final

from keyhier.placement.model import Ade, KeyUse, VaultReference, Volumes
from keyhier.placement.node import Node, properties_in
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, any_of

__all__ = [
    "in_doubt",
    "is_disk_encryption",
    "is_extension",
    "read_ade",
    "read_extension",
    "read_volumes",
]

_TYPES: Final = frozenset({"azurediskencryption", "azurediskencryptionforlinux"})
_EXTENSIONS: Final = ("/virtualmachines/extensions", "/virtualmachinescalesets/extensions")
_OWN_SETTINGS: Final = ("EncryptionOperation", "KeyVaultURL", "KeyEncryptionKeyURL", "VolumeType")
# Some SDKs write the number of the enumeration's member.
_NUMBERS: Final = {0: Volumes.OS, 1: Volumes.DATA, 2: Volumes.ALL}


def read_ade(settings: Node) -> Ade:
    """Read ``encryptionSettings`` of a machine's model or instance view, or a disk's collection.

    Raises:
        InvalidInputError: it is malformed.
    """
    enabled = settings.at("enabled").flag()
    ever = True if enabled is not False else UNKNOWN
    if not settings.at("encryptionSettingsVersion").absent:
        # The version cannot be taken out again, so it tells of encryption that was disabled.
        ever = True
    listed = settings.at("encryptionSettings").items()
    if isinstance(listed, Unknown):
        return Ade(enabled=UNKNOWN if enabled is None else enabled, ever=ever)
    read = [_of_volume(each) for each in listed or [settings]]
    vaults = {vault for vault, _ in read}
    keks = {kek for _, kek in read}
    return Ade(
        # Settings that name a secret and say nothing else turn encryption on.
        enabled=read != [(None, None)] if enabled is None else enabled,
        ever=ever,
        # Volumes of one disk with different vaults are nothing that Azure writes.
        vault=vaults.pop() if len(vaults) == 1 else UNKNOWN,
        kek=keks.pop() if len(keks) == 1 else UNKNOWN,
    )


def _of_volume(
    settings: Node,
) -> tuple[Maybe[VaultReference | None], Maybe[KeyUse | None]]:
    secret, key = settings.at("diskEncryptionKey"), settings.at("keyEncryptionKey")
    vault = _vault(secret.at("sourceVault", "id"), secret.at("secretUrl"))
    kek_vault = _vault(key.at("sourceVault", "id"), key.at("keyUrl"))
    url = key.at("keyUrl").text()
    if url is None or kek_vault is None:
        return vault, None
    return vault, UNKNOWN if isinstance(kek_vault, Unknown) else KeyUse(url, kek_vault)


def _vault(identity: Node, url: Node) -> Maybe[VaultReference | None]:
    found, address = identity.arm_id(), url.text()
    if found is None and address is None:
        return None
    if found in {None, UNKNOWN} and address in {None, UNKNOWN}:
        return UNKNOWN
    return VaultReference(
        UNKNOWN if found is None else found, UNKNOWN if address is None else address
    )


def read_volumes(node: Node) -> Maybe[Volumes]:
    """Read a VolumeType; where none is given, all volumes are meant.

    Raises:
        InvalidInputError: it is none.
    """
    value = node.known
    if isinstance(value, Unknown):
        return value
    if value is None or value == "":
        return Volumes.ALL
    if isinstance(value, int) and not isinstance(value, bool) and value in _NUMBERS:
        return _NUMBERS[value]
    for volumes in Volumes:
        if isinstance(value, str) and value.casefold() == volumes.casefold():
            return volumes
    raise node.wrong("a VolumeType is OS, Data or All")


def is_extension(kind: str) -> bool:
    """Whether resources of a type are extensions of machines or scale sets."""
    return kind.casefold().endswith(_EXTENSIONS)


def is_disk_encryption(extension: Node) -> Maybe[bool]:
    """Whether an extension is one of Azure Disk Encryption.

    Raises:
        InvalidInputError: its type is no text, or its settings are no object.
    """
    properties = properties_in(extension)
    resource = extension.at("type").text()
    if isinstance(resource, str) and "/" in resource and not is_extension(resource):
        # A machine's run commands stand beside its extensions.
        return False
    names = (properties.at("type").text(), properties.at("typePropertiesType").text())
    # `az` prints the type of the resource beside that of the extension.
    kinds = [each for each in names if isinstance(each, Unknown) or (each and "/" not in each)]
    if any(isinstance(each, str) and each.casefold() in _TYPES for each in kinds):
        return True
    if kinds and UNKNOWN not in kinds:
        return False
    # Where nobody knows the type, the settings tell: no other extension has these.
    settings = properties.at("settings")
    if settings.absent or isinstance(settings.known, Unknown):
        return UNKNOWN
    return any(not settings.at(name).absent for name in _OWN_SETTINGS)


def in_doubt(ade: Ade) -> Ade:
    """Return what is known of a machine that may have an extension which is not told of."""
    return ade if ade.enabled is True else Ade(ever=any_of(ade.ever, UNKNOWN))


def read_extension(extension: Node) -> Ade | None:
    """Read the settings of an Azure Disk Encryption extension; None for another extension.

    Of one that may be either, nothing is known.

    Raises:
        InvalidInputError: they are malformed.
    """
    kind = is_disk_encryption(extension)
    if isinstance(kind, Unknown):
        return Ade()
    if not kind:
        return None
    settings = properties_in(extension).at("settings")
    operation = settings.at("EncryptionOperation").text()
    if operation is None or isinstance(operation, Unknown):
        enabled: Maybe[bool] = UNKNOWN
    else:
        enabled = operation.casefold() != "disableencryption"
    url = settings.at("KeyEncryptionKeyURL").text()
    kek_vault = _vault(settings.at("KekVaultResourceId"), settings.at("KeyEncryptionKeyURL"))
    kek: Maybe[KeyUse | None] = None
    if url is not None:
        kek = UNKNOWN
        if isinstance(kek_vault, VaultReference):
            kek = KeyUse(url, kek_vault)
    return Ade(
        enabled=enabled,
        ever=True,
        volumes=read_volumes(settings.at("VolumeType")),
        vault=_vault(settings.at("KeyVaultResourceId"), settings.at("KeyVaultURL")),
        kek=kek,
    )
