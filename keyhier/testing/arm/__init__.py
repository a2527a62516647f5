"""Azure Resource Manager on loopback, beside a Key Vault: for tests, without an Azure account.

with KeyVault() as vault, ResourceManager(vault) as manager:
    manager.put({"id": "/subscriptions/…", "type": "…", "location": "westeurope"})
"""

from __future__ import annotations

from keyhier.testing.arm.manager import ResourceManager

__all__ = ["ResourceManager"]
