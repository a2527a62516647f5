"""The Azure backend: Key Vaults and Managed HSMs, their keys and their secrets."""

from __future__ import annotations

from keyhier_azure.backend import AzureBackend

__all__ = ["backend"]

backend = AzureBackend()
