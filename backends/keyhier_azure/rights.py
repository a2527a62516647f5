"""What somebody has to be allowed to do, operation by operation.

Names of data actions and roles: https://learn.microsoft.com/azure/key-vault/general/rbac-guide and
https://learn.microsoft.com/azure/key-vault/managed-hsm/built-in-roles.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["Right"]

_CRYPTO_USER: Final = "Key Vault Crypto User"
_CRYPTO_OFFICER: Final = "Key Vault Crypto Officer"
_SERVICE_ENCRYPTION: Final = "Key Vault Crypto Service Encryption User"
_SECRETS_USER: Final = "Key Vault Secrets User"
_SECRETS_OFFICER: Final = "Key Vault Secrets Officer"


class Right(Enum):
    """A permission of a vault's access policy, and the least built-in role that has it."""

    GET_KEY = ("get", "keys", _SERVICE_ENCRYPTION)
    LIST_KEYS = ("list", "keys", _SERVICE_ENCRYPTION)
    WRAP = ("wrapKey", "keys", _SERVICE_ENCRYPTION)
    UNWRAP = ("unwrapKey", "keys", _SERVICE_ENCRYPTION)
    CREATE_KEY = ("create", "keys", _CRYPTO_OFFICER)
    IMPORT_KEY = ("import", "keys", _CRYPTO_OFFICER)
    ROTATE_KEY = ("rotate", "keys", _CRYPTO_OFFICER)
    GET_ROTATION_POLICY = ("getrotationpolicy", "keys", _CRYPTO_OFFICER)
    SET_ROTATION_POLICY = ("setrotationpolicy", "keys", _CRYPTO_OFFICER)
    UPDATE_KEY = ("update", "keys", _CRYPTO_USER)
    DELETE_KEY = ("delete", "keys", _CRYPTO_OFFICER)
    RECOVER_KEY = ("recover", "keys", _CRYPTO_OFFICER)
    PURGE_KEY = ("purge", "keys", _CRYPTO_OFFICER)
    BACK_KEY_UP = ("backup", "keys", _CRYPTO_USER)
    RESTORE_KEY = ("restore", "keys", _CRYPTO_OFFICER)
    GET_RANDOM = ("rng", "Managed HSM", "Managed HSM Crypto User")
    GET_SECRET = ("get", "secrets", _SECRETS_USER)
    LIST_SECRETS = ("list", "secrets", _SECRETS_USER)
    SET_SECRET = ("set", "secrets", _SECRETS_OFFICER)
    DELETE_SECRET = ("delete", "secrets", _SECRETS_OFFICER)
    RECOVER_SECRET = ("recover", "secrets", _SECRETS_OFFICER)
    PURGE_SECRET = ("purge", "secrets", _SECRETS_OFFICER)

    def __init__(self, permission: str, objects: str, role: str) -> None:
        self.permission = permission
        self.objects = objects
        self.role = role

    def __str__(self) -> str:
        return f"the permission {self.permission!r} on {self.objects}"

    @property
    def remedy(self) -> str:
        """How to get it."""
        return f"grant {self}; the role {self.role!r} has it"
