"""The memory backend: a vault in this process, which can keep itself in one encrypted file."""

from __future__ import annotations

from keyhier_memory.backend import MemoryBackend

__all__ = ["backend"]

backend = MemoryBackend()
