"""What an extension's settings may be where expressions leave some of them open.

Whatever stands for what is unknown, some settings contradict each other, or may not follow on what
a machine has. So each value that an expression may yield is tried, as far as it makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

import attrs

from keyhier.azure_disk.addresses import VAULT_TYPE, KekAddress, VaultAddress
from keyhier.azure_disk.labels import ALGORITHMS, read_algorithm
from keyhier.azure_disk.reading import properties_of
from keyhier.azure_disk.settings import (
    Application,
    ExtensionSettings,
    read_kinds,
    read_operations,
    read_parameter,
)
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.placement.ade_model import read_volumes
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import Volumes
from keyhier.placement.node import Node
from keyhier.placement.unknown import Maybe, Unknown

__all__ = ["OpenSettings"]

# What stands for a value that nobody knows; none of it is shown.
_NAME: Final = "unknown"
_VERSION: Final = "0" * 32


@attrs.frozen
class OpenSettings:
    """What an extension may be told.

    Attributes:
        possible: settings of every system, operation, volume type and generation that may be
            meant, each once; what else is unknown of them is made up.
        sequence_version: as far as it is known; where it is not, it is None in all of them.
        missing: the places of what is unknown and makes a difference.
    """

    possible: tuple[ExtensionSettings, ...]
    sequence_version: Maybe[str | None]
    missing: tuple[str, ...]

    @classmethod
    def parse(cls, document: object) -> OpenSettings:
        """Read an extension, as :meth:`ExtensionSettings.parse` does.

        Raises:
            InvalidInputError: the settings are wrong, whatever the unknown ones are; the message
                names the place or says why.
        """
        properties = properties_of(document)
        settings, protected = properties.at("settings"), properties.at("protectedSettings")
        sequence = settings.at("SequenceVersion").text()
        others = list(
            product(
                _vaults(settings),
                _keks(settings),
                _applications(settings, protected),
                _parameters(protected.at("Passphrase")),
            )
        )
        possible: list[ExtensionSettings] = []
        errors: dict[str, None] = {}
        chosen = product(read_kinds(properties), read_operations(settings), _volumes(settings))
        for (system, generation), operation, volumes in chosen:
            for vault, kek, application, passphrase in others:
                try:
                    found = ExtensionSettings(
                        system=system,
                        operation=operation,
                        volumes=volumes,
                        vault=vault,
                        kek=kek,
                        generation=generation,
                        application=application,
                        passphrase_parameter=passphrase,
                        sequence_version=None if isinstance(sequence, Unknown) else sequence,
                    )
                except InvalidInputError as error:
                    errors[error.message] = None
                else:
                    possible.append(found)
                    break
        if not possible:
            raise InvalidInputError("; or ".join(errors))
        return cls(tuple(possible), sequence, tuple(_missing(properties)))


def _missing(properties: Node) -> Iterator[str]:
    names = ("EncryptionOperation", "VolumeType", "SequenceVersion")
    settings = properties.at("settings")
    for node in (
        *(properties.at(name) for name in ("type", "typePropertiesType", "typeHandlerVersion")),
        *(settings.at(name) for name in names),
    ):
        if isinstance(node.known, Unknown):
            yield node.pointer


def _volumes(settings: Node) -> list[Volumes]:
    volumes = read_volumes(settings.at("VolumeType"))
    return list(Volumes) if isinstance(volumes, Unknown) else [volumes]


def _ids(identity: Maybe[ArmId | None], label: str) -> list[ArmId | None]:
    """Return the ids that a vault may have whose URL begins with a label."""
    if isinstance(identity, Unknown):
        return [ArmId(_NAME, _NAME, VAULT_TYPE, (label,)), None]
    return [identity]


def _label(identity: Maybe[ArmId | None]) -> str:
    return identity.name if isinstance(identity, ArmId) else _NAME


def _vaults(settings: Node) -> list[VaultAddress | None]:
    url = settings.at("KeyVaultURL").text()
    identity = settings.at("KeyVaultResourceId").arm_id()
    if url is None:
        return [None]
    if isinstance(url, Unknown):
        label = _label(identity)
        return [*(VaultAddress(f"{label}.{_NAME}", each) for each in _ids(identity, label)), None]
    label = VaultAddress.parse(url).host.partition(".")[0]
    return [VaultAddress.parse(url, each) for each in _ids(identity, label)]


def _keks(settings: Node) -> list[KekAddress | None]:
    url = settings.at("KeyEncryptionKeyURL").text()
    identity = settings.at("KekVaultResourceId").arm_id()
    name = settings.at("KeyEncryptionAlgorithm").text()
    if url is None:
        return [None]
    # Which algorithm it is makes no difference to what else is there.
    algorithm = read_algorithm(name if isinstance(name, str) else ALGORITHMS[0])
    is_open = isinstance(url, Unknown)
    if isinstance(url, Unknown):
        url = f"https://{_label(identity)}.{_NAME}/keys/{_NAME}/{_VERSION}"
    key = KeyId.parse(url.removesuffix("/"))
    label = key.vault.partition(".")[0]
    found: list[KekAddress | None] = [
        KekAddress(key, algorithm, each) for each in _ids(identity, label)
    ]
    return [*found, None] if is_open else found


def _texts(node: Node) -> list[str | None]:
    text = node.text()
    return [_NAME, None] if isinstance(text, Unknown) else [text]


def _parameters(node: Node) -> list[str | None]:
    # What a secure parameter holds is not read, so its value is unknown.
    return [_NAME, None] if isinstance(node.value, Unknown) else [read_parameter(node)]


def _applications(settings: Node, protected: Node) -> list[Application | None]:
    found: list[Application | None] = []
    errors: list[InvalidInputError] = []
    for client, thumbprint, secret in product(
        _texts(settings.at("AADClientID")),
        _texts(settings.at("AADClientCertThumbprint")),
        _parameters(protected.at("AADClientSecret")),
    ):
        try:
            one = None if client is None else Application(client, thumbprint, secret)
        except InvalidInputError as error:
            errors.append(error)
        else:
            found.append(one)
    if not found:
        raise errors[0]
    return found
