"""Azure's clients for Node.js, which share no code with those for Python, on our vault."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from keyhier.testing.keyvault import KeyVault
from tests.conftest import missing

HERE = Path(__file__).with_name("node")
# Kept for the next run: a download of 60 MB.
FOLDER = Path(__file__).resolve().parents[2] / ".build" / "node"


@pytest.fixture(scope="module")
def client() -> Path:
    """The script beside the packages that it needs; skips where they cannot be had."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package.json").read_bytes()
    installed = FOLDER / "package.json"
    if not installed.exists() or installed.read_bytes() != wanted:
        installed.write_bytes(wanted)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, check=False)
        if done.returncode != 0:
            installed.unlink()
            missing("npm cannot install Azure's clients here")
    return Path(shutil.copy(HERE / "client.js", FOLDER))


@pytest.mark.requires_tool("node", "npm")
def test_the_clients_for_node_work_unmodified(keyvault: KeyVault, client: Path) -> None:
    tenant = keyvault.tenant
    ready = {
        "url": keyvault.url,
        "authority": tenant.authority,
        "tenant_id": tenant.tenant_id,
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
    }
    environment = os.environ | {"NODE_EXTRA_CA_CERTS": keyvault.ca_file}
    done = subprocess.run(
        ["node", str(client), json.dumps(ready)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "unwrapped": True,
        "unwrappedByTheOldVersion": True,
        "versions": 2,
        "newest": True,
        "tags": {"vm": "web-01"},
        "deleted": ["kek"],
        "create": 409,
        "recovered": "kek",
        "purged": "KeyNotFound",
        "listed": 30,
        "value": "value 7",
        "gone": "SecretNotFound",
        "back": "value 7",
    }
    assert keyvault.requests.count("unwrap_key", 200) == 2
