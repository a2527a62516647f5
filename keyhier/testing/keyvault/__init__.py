"""A Key Vault on loopback: Azure Key Vault and Managed HSM for tests, without an Azure account.

The unmodified clients of Azure work with it over TLS: it makes a certificate when it starts, asks
for a token as the service does, and takes only those of its own tenant.

    with KeyVault() as vault:
        client = KeyClient(vault.url, vault.credential(), connection_verify=vault.ca_file)
"""

from __future__ import annotations

from keyhier.testing.keyvault.vault import KeyVault

__all__ = ["KeyVault"]
