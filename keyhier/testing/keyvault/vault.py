"""A Key Vault, or a Managed HSM, on loopback, as a test holds it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from ssl import SSLContext
from typing import Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from keyhier.testing.keyvault.certificate import authority_and_context
from keyhier.testing.keyvault.clock import Clock
from keyhier.testing.keyvault.credential import Credential
from keyhier.testing.keyvault.faults import Faults
from keyhier.testing.keyvault.key_operations import KeyOperations
from keyhier.testing.keyvault.keys import KEY, Keys, KeyVersion
from keyhier.testing.keyvault.request_log import RequestLog
from keyhier.testing.keyvault.routes import Router, key_routes, secret_routes, tenant_routes
from keyhier.testing.keyvault.secret_objects import SECRET, Secrets, SecretVersion
from keyhier.testing.keyvault.server import Server
from keyhier.testing.keyvault.service import Service
from keyhier.testing.keyvault.store import Retention, Store
from keyhier.testing.keyvault.tenant import Tenant
from keyhier.testing.keyvault.throttling import PUBLISHED, Limits, Throttle

__all__ = ["KeyVault"]


class KeyVault:
    """A vault that runs from the beginning to the end of a ``with`` block.

    Attributes:
        certificates: its authority's certificate, and what its own end of TLS goes by.
        clock: what keys, secrets, rotation and soft delete go by; it can be moved.
        faults: what goes wrong, see :class:`~keyhier.testing.keyvault.faults.Faults`.
        requests: what was asked, see :class:`~keyhier.testing.keyvault.request_log.RequestLog`.
        tenant: who gives the tokens that the vault takes.
    """

    def __init__(
        self,
        *,
        managed_hsm: bool = False,
        port: int = 0,
        region: str = "westeurope",
        recoverable_days: int = 90,
        purge_protection: bool = False,
        delay: float = 0.05,
        beside: KeyVault | None = None,
        signing_key: RSAPrivateKey | None = None,
    ) -> None:
        """Start a vault; it listens when this returns.

        Args:
            managed_hsm: whether it is a Managed HSM, which has AES keys and no secrets.
            port: of TCP on 127.0.0.1; 0 for a free one.
            region: what every answer names.
            recoverable_days: how long what is deleted can be recovered, 7 to 90.
            purge_protection: whether nothing is purged before.
            delay: seconds that a delete, a recovery or a purge takes after it was answered.
            beside: another vault whose tenant and certificates this one has too, as vaults of one
                customer; by default it has its own.
            signing_key: what its tenant signs tokens with; by default a new key, which takes most
                of the time that a vault takes to start.

        Raises:
            OSError: the port is in use.
            ValueError: the days are not 7 to 90.
        """
        self.clock = Clock()
        retention = Retention(recoverable_days, purge_protection, delay)
        self.certificates: tuple[bytes, SSLContext] = (
            authority_and_context() if beside is None else beside.certificates
        )
        authority, context = self.certificates
        self._server = Server(port, context, sort_keys=managed_hsm)
        self._folder = tempfile.TemporaryDirectory(prefix="keyvault-")
        self._ca_file = Path(self._folder.name) / "ca.pem"
        self._ca_file.write_bytes(authority)
        # The clients of Azure demand that the vault's host ends with the resource's: 127.0.0.1
        # ends with .0.0.1, and nothing need be switched off.
        resource = f"https://0.0.1:{self._server.port}"
        self.tenant: Tenant = (
            Tenant(self.url, resource, signing_key)
            if beside is None
            else beside.tenant.of(resource)
        )
        keys = Keys(
            Store[KeyVersion](KEY, self.clock, retention), self.clock, managed_hsm=managed_hsm
        )
        secrets = Secrets(Store[SecretVersion](SECRET, self.clock, retention), self.clock)
        operations = KeyOperations(keys, self.clock)
        router = Router(
            [
                *tenant_routes(self.tenant),
                *key_routes(keys, operations, managed_hsm=managed_hsm),
                *([] if managed_hsm else secret_routes(secrets)),
            ]
        )
        self.faults = Faults(router.names)
        self.requests = RequestLog()
        self._service = Service(
            router,
            self.tenant,
            keys,
            self.faults,
            self.requests,
            region=region,
            managed_hsm=managed_hsm,
        )
        self._server.start(self._service.answer)

    @property
    def url(self) -> str:
        """The vault's URL, such as ``https://127.0.0.1:41234``; also the tenant's authority."""
        return f"https://127.0.0.1:{self._server.port}"

    @property
    def ca_file(self) -> str:
        """The path of the certificate (PEM) that clients have to trust."""
        return str(self._ca_file)

    def credential(self) -> Credential:
        """Return a new credential, for the Azure SDK or for ``keyhier.open(…, credential=…)``."""
        return Credential(self.tenant)

    def throttle(self, limits: Limits | None = PUBLISHED) -> None:
        """Enforce limits from now on, the published ones if no others are given; None for none."""
        self._service.throttle = None if limits is None else Throttle(limits)

    def close(self) -> None:
        """Stop the vault; what was in it is gone."""
        self._service.end()
        self._server.stop()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        """Return the vault."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the vault."""
        self.close()
