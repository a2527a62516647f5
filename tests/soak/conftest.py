"""Fixtures of the soak."""

from __future__ import annotations

from tests.soak.scale import figures, scale

__all__ = ["figures", "scale"]
