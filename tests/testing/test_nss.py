"""NSS's software token."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import keyhier
from keyhier.testing import nss

if TYPE_CHECKING:
    from pathlib import Path

    from keyhier.testing.prepared import PreparedToken

WHERE = "from keyhier.testing.nss import nss_token; print(nss_token().pin_file.parent)"
MISSING = "from keyhier.testing.nss import nss_token; nss_token()"


def test_a_process_has_one_token(nss_token: PreparedToken) -> None:
    assert nss.nss_token() is nss_token
    assert stat.S_IMODE(nss_token.pin_file.stat().st_mode) == 0o600
    with keyhier.open(nss_token.uri) as vault:
        assert len(vault.random_bytes(3)) == 3


def test_promise_7_no_pin_in_the_repr_or_the_uri(nss_token: PreparedToken) -> None:
    assert nss_token.pin not in f"{nss_token!r} {nss_token.uri}"


@pytest.mark.usefixtures("nss_token")
def test_its_folder_is_gone_when_the_process_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHERE],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "environment", [{"NSS_MODULE": "/nowhere"}, {"PATH": "/nowhere"}], ids=["module", "certutil"]
)
def test_where_it_is_not_installed_that_is_said(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MISSING],
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    assert "install libnss3 and libnss3-tools" in done.stderr


def test_a_database_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    certutil = tmp_path / "certutil"
    certutil.write_text("#!/bin/sh\necho no space >&2\nexit 1\n")
    certutil.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", MISSING],
        env={**os.environ, "PATH": f"{tmp_path}:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert "certutil does not make a database: no space" in done.stderr
