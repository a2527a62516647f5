"""keyhier's backend for PKCS#11 modules: SoftHSM, Luna, nShield, CloudHSM and the like.

``import keyhier_pkcs11`` loads neither python-pkcs11 nor a module; opening a vault does.
"""

from __future__ import annotations

from keyhier_pkcs11.backend import Pkcs11Backend

__all__ = ["backend"]

backend = Pkcs11Backend()
