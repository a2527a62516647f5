"""What the tests share: tools that may be missing, and material that is not part of the project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from keyhier.testing.postgresql import Postgresql, find_postgresql

MATERIAL = Path(__file__).resolve().parents[2] / "shared" / "material"

# A deadline per example would be a timed test, and these machines are shared.
settings.register_profile(
    "keyhier", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("keyhier")


# Each takes so long that a worker which began it last would keep all the others waiting.
LONG = (
    "hierarchy/jobs/test_kills.py",
    "hierarchy/jobs/test_workers.py",
    "cli/test_demo.py",
    "tests/test_docs.py",
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "requires_tool(*names): needs these programs; skipped without them, failed with CI=true",
    )
    config.addinivalue_line(
        "markers",
        "requires_module(*names): needs these modules; skipped without them, failed with CI=true",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long ones; the order is otherwise as it was drawn."""
    items.sort(
        key=lambda item: not (item.path.match("soak/*") or item.path.as_posix().endswith(LONG))
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("requires_tool"):
        for name in marker.args:
            if shutil.which(name) is None:
                missing(f"{name} is not installed")
    for marker in item.iter_markers("requires_module"):
        for name in marker.args:
            if find_spec(name) is None:
                missing(f"the module {name} is not installed")


def missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI runs everything")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def material() -> Path:
    """The folder of real files and vectors, which lies beside the checkout and not in it."""
    if not MATERIAL.is_dir():
        pytest.skip("the test material does not lie beside this checkout")
    return MATERIAL


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A private server for this process of the tests; nobody else's is touched."""
    if find_postgresql() is None:
        missing("PostgreSQL's server is not installed")
    with Postgresql() as server:
        yield server
