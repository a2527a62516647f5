"""Backends are found through entry points; a third party's gets the same treatment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import keyhier
from keyhier.errors import AmbiguousError, UnsupportedError
from keyhier.registry import backend_for, registered_backends

BACKEND = """
class _Backend:
    description = "a third party's"
    uri_forms = ("{name}:",)

    def unavailable(self):
        return {reason!r}

    def open(self, uri, options):
        from keyhier_memory import backend
        from keyhier.uri import VaultUri
        return backend.open(VaultUri.parse("memory:"), options)

backend = _Backend()
"""


def _install(folder: Path, module: str, scheme: str, code: str) -> None:
    """Put a distribution with one backend where Python finds it, as an installer does."""
    (folder / f"{module}.py").write_text(code)
    information = folder / f"{module}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        f"[keyhier.backends]\n{scheme} = {module}:backend\n"
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def module(site: Path, request: pytest.FixtureRequest) -> str:
    """Return a module's name that no other test has imported."""
    return f"third_party_{abs(hash(request.node.nodeid))}"


def test_our_own_backends_are_registered() -> None:
    found = {registered.scheme: registered for registered in registered_backends()}
    assert found["memory"].target == "keyhier_memory:backend"
    assert found["memory"].unavailable is None
    assert {"memory", "pkcs11"} <= set(found)
    assert backend_for("memory") is found["memory"].backend


def test_a_third_partys_backend_is_opened_by_its_scheme(site: Path, module: str) -> None:
    _install(site, module, "acme", BACKEND.format(name="acme", reason=None))
    assert module not in sys.modules
    with keyhier.open("acme:") as vault:
        assert vault.create_key("kek", "AES-256").wrap(b"secret")
    assert backend_for("acme").description == "a third party's"


def test_a_scheme_that_nobody_serves_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        UnsupportedError, match=r"no backend serves gopher:; installed are .*memory:"
    ):
        keyhier.open("gopher://host")


def test_promise_9_two_backends_for_one_scheme_are_refused_with_both(
    site: Path, module: str
) -> None:
    for number in (1, 2):
        _install(site, f"{module}_{number}", "acme", BACKEND.format(name="acme", reason=None))
    with pytest.raises(AmbiguousError, match="more than one backend serves acme:") as caught:
        keyhier.open("acme:")
    assert caught.value.candidates == (f"{module}_1:backend", f"{module}_2:backend")


def test_one_backend_that_is_seen_twice_is_one(site: Path, module: str) -> None:
    _install(site, module, "acme", BACKEND.format(name="acme", reason=None))
    again = site / "again"
    again.mkdir()
    _install(again, module, "acme", BACKEND.format(name="acme", reason=None))
    sys.path.insert(0, str(again))
    try:
        assert backend_for("acme")
    finally:
        sys.path.remove(str(again))


def test_a_backend_says_why_it_cannot_be_used(site: Path, module: str) -> None:
    _install(site, module, "acme", BACKEND.format(name="acme", reason="install libacme"))
    with pytest.raises(UnsupportedError, match="backend for acme: cannot be used: install libacme"):
        keyhier.open("acme:")
    (found,) = (one for one in registered_backends() if one.scheme == "acme")
    assert found.unavailable == "install libacme"


@pytest.mark.parametrize(
    "code", ["raise OSError('libacme.so is missing')", "", "this is no Python"], ids=str
)
def test_a_backend_that_does_not_load_is_reported_and_spoils_no_other(
    code: str, site: Path, module: str
) -> None:
    _install(site, module, "acme", code)
    found = {registered.scheme: registered for registered in registered_backends()}
    assert found["acme"].backend is None
    assert str(found["acme"].unavailable).startswith("it failed to load: ")
    assert found["memory"].backend is not None
    with pytest.raises(UnsupportedError, match="it failed to load"):
        keyhier.open("acme:")
