"""What pytest only takes from the root: plug-ins that the tests use."""

from __future__ import annotations

pytest_plugins = ["pytester"]
