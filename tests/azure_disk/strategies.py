"""Settings, models and sets of any kind that Azure takes."""

from __future__ import annotations

import string
import uuid

from hypothesis import strategies as st

from keyhier.azure_disk.addresses import KekAddress, VaultAddress
from keyhier.azure_disk.disk_model import DiskCollection, SecretAddress, VolumeSettings
from keyhier.azure_disk.labels import ALGORITHMS
from keyhier.azure_disk.set_resource import EncryptionType, SetResource
from keyhier.azure_disk.settings import Application, ExtensionSettings, Generation, Operation
from keyhier.identifiers import KeyId
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import System, Volumes
from keyhier.stored_secret import SecretId

__all__ = ["collections", "extensions", "sets", "vm_ids", "volumes"]

_SUFFIXES = st.sampled_from(
    ["vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net", "managedhsm.azure.net"]
)
_GUIDS = st.uuids().map(str)
_VERSIONS = st.uuids().map(lambda each: each.hex)
_LETTERS = string.ascii_letters
_WORDS = st.text(_LETTERS + string.digits, min_size=1, max_size=10)
_LABELS = st.tuples(st.sampled_from("abkz"), _WORDS).map("".join).map(str.lower).map("{}-1".format)
_NAMES = st.tuples(st.sampled_from(_LETTERS), _WORDS).map("-".join)
_GROUPS = st.tuples(_WORDS, _WORDS).map("_.(".join)
_PARAMETERS = st.tuples(st.sampled_from(f"{_LETTERS}_"), _WORDS).map("".join)
_SET_NAMES = st.text(f"{_LETTERS}{string.digits}_-", min_size=1, max_size=80)


def _arm_id(kind: str, name: str, subscription: str, group: str) -> ArmId:
    return ArmId.parse(
        f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}"
    )


vm_ids = st.builds(_arm_id, st.just("Microsoft.Compute/virtualMachines"), _NAMES, _GUIDS, _GROUPS)


@st.composite
def _vault_ids(draw: st.DrawFn, label: str) -> ArmId:
    spelled = draw(st.sampled_from([label, label.upper()]))
    return _arm_id("Microsoft.KeyVault/vaults", spelled, draw(_GUIDS), draw(_GROUPS))


@st.composite
def _vaults(draw: st.DrawFn, *, with_id: bool) -> VaultAddress:
    label = draw(_LABELS)
    identity = draw(_vault_ids(label)) if with_id or draw(st.booleans()) else None
    return VaultAddress(f"{label}.{draw(_SUFFIXES)}", identity)


@st.composite
def _keks(draw: st.DrawFn, *, with_id: bool) -> KekAddress:
    label = draw(_LABELS)
    key = KeyId("https", f"{label}.{draw(_SUFFIXES)}", draw(_NAMES).lower(), draw(_VERSIONS))
    identity = draw(_vault_ids(label)) if with_id or draw(st.booleans()) else None
    return KekAddress(key, draw(st.sampled_from(ALGORITHMS)), identity)


@st.composite
def extensions(draw: st.DrawFn) -> ExtensionSettings:
    """Settings of the extension, for every system, generation and operation."""
    system = draw(st.sampled_from(System))
    generation = draw(st.sampled_from(Generation))
    linux, dual = system is System.LINUX, generation is Generation.DUAL_PASS
    possible = [each for each in Operation if linux or each is not Operation.ENABLE_FORMAT_ALL]
    operation = draw(st.sampled_from(possible))
    with_vault = operation not in {Operation.DISABLE, Operation.QUERY}
    proof = draw(st.sampled_from(["thumbprint", "secret_parameter"]))
    application = Application(draw(_GUIDS), **{proof: draw(_PARAMETERS)})
    if linux and operation is Operation.DISABLE:
        wanted = Volumes.DATA
    else:
        kinds = [
            each
            for each in Volumes
            if operation is not Operation.ENABLE_FORMAT_ALL or each is not Volumes.OS
        ]
        wanted = draw(st.sampled_from(kinds))
    return ExtensionSettings(
        system=system,
        operation=operation,
        volumes=wanted,
        vault=draw(_vaults(with_id=not dual)) if with_vault else None,
        kek=draw(st.none() | _keks(with_id=not dual)) if with_vault else None,
        generation=generation,
        application=application if dual and with_vault else None,
        passphrase_parameter=draw(st.none() | _PARAMETERS) if linux and with_vault else None,
        sequence_version=draw(st.none() | _GUIDS),
    )


@st.composite
def volumes(draw: st.DrawFn) -> VolumeSettings:
    """How a volume is unlocked: with a secret, wrapped by a KEK or not."""
    label = draw(_LABELS)
    secret = SecretId(f"{label}.{draw(_SUFFIXES)}", str(uuid.uuid4()), draw(_VERSIONS))
    address = SecretAddress(secret, draw(_vault_ids(label)))
    kek = draw(st.none() | _keks(with_id=True))
    # A disk's model has no place for the algorithm.
    return VolumeSettings(address, kek and KekAddress(kek.id, vault=kek.vault))


collections = st.builds(
    DiskCollection, st.sampled_from(Generation), st.lists(volumes(), max_size=3).map(tuple)
)


@st.composite
def sets(draw: st.DrawFn) -> SetResource:
    """Encryption sets, with their vault in their subscription or in another."""
    label, subscription = draw(_LABELS), draw(_GUIDS)
    name = draw(_SET_NAMES)
    vault = _arm_id("Microsoft.KeyVault/vaults", label, subscription, draw(_GROUPS))
    users = [
        _arm_id("Microsoft.ManagedIdentity/userAssignedIdentities", each, subscription, "rg")
        for each in draw(st.lists(_NAMES, max_size=2, unique_by=str.casefold))
    ]
    return SetResource(
        id=_arm_id("Microsoft.Compute/diskEncryptionSets", name, subscription, draw(_GROUPS)),
        location=draw(st.sampled_from(["eastus2", "chinanorth3", "usgovvirginia"])),
        key=KeyId("https", f"{label}.{draw(_SUFFIXES)}", draw(_NAMES).lower(), draw(_VERSIONS)),
        vault=draw(st.sampled_from([vault, None])),
        follow_latest=draw(st.booleans()),
        encryption_type=draw(st.sampled_from(EncryptionType)),
        user_identities=tuple(users),
        system_identity=not users or draw(st.booleans()),
        federated_client_id=draw(st.none() | _GUIDS) if users else None,
    )
