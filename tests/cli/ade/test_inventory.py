"""`keyhier ade inventory`: what opens each secret, and whether it still can."""

from __future__ import annotations

import json
from pathlib import Path

from tests.azure_disk.forms import GUID
from tests.cli.ade.conftest import ELSEWHERE, put, shown
from tests.cli.conftest import Run, VaultFile


def test_an_inventory_tells_what_opens_each_and_whether_it_still_can(
    run: Run, uri: str, vault_file: VaultFile, bek_file: Path, passphrase_file: Path
) -> None:
    assert run("ade", "inventory").stdout == "no secrets of Azure Disk Encryption\n"
    run("ade", "protect", "--in", bek_file, "--kek", "kek", "--machine", "web-01", "--volume", "C:")
    run("ade", "protect", "--in", passphrase_file, "--machine", "db-01")
    with vault_file.open() as vault:
        vault.secrets.set("another", "secret of no disk")
        kek = str(vault.key("kek").id)
    document = shown(run("ade", "inventory", "--json"))
    assert document["retirement"] == "2028-09-15"
    listed = {secret["machine"]: secret for secret in document["secrets"]}
    assert listed.keys() == {"web-01", "db-01"}
    assert [listed[name]["state"] for name in ("web-01", "db-01")] == ["opens", "opens"]
    assert (listed["web-01"]["kek"], listed["web-01"]["algorithm"]) == (kek, "RSA-OAEP")
    assert (listed["db-01"]["kek"], listed["db-01"]["wrapped"]) == (None, False)
    table = run("ade", "inventory").stdout
    assert bek_file.stem in table
    assert "opens" in table

    with vault_file.open() as vault:
        vault.key("kek").disable()
    result = run("ade", "inventory")
    assert result.exit_code == 21
    assert "lost" in result.stdout
    assert f"{bek_file.stem}: the KEK {kek} is disabled" in result.stdout


def test_an_inventory_that_does_not_know_says_so(run: Run, uri: str, vault_file: VaultFile) -> None:
    tags = {
        "DiskEncryptionKeyFileName": f"{GUID}.BEK",
        "DiskEncryptionKeyEncryptionAlgorithm": "RSA-OAEP",
        "DiskEncryptionKeyEncryptionKeyURL": ELSEWHERE,
    }
    put(vault_file, "a value that is not looked at", "Wrapped BEK", **tags)
    result = run("ade", "inventory", "--json")
    assert result.exit_code == 20
    (item,) = json.loads(result.stdout)["secrets"]
    assert (item["state"], item["kek"]) == ("unknown", ELSEWHERE)


def test_an_inventory_of_all_versions_has_the_older_ones(
    run: Run, uri: str, bek_file: Path
) -> None:
    for _ in range(2):
        run("ade", "protect", "--in", bek_file)
    assert len(shown(run("ade", "inventory", "--json"))["secrets"]) == 1
    assert len(shown(run("ade", "inventory", "--all-versions", "--json"))["secrets"]) == 2


def test_an_inventory_shows_volumes_as_they_are_typed(
    run: Run, uri: str, bek_file: Path, passphrase_file: Path
) -> None:
    run("ade", "protect", "--in", bek_file, "--machine", "web-01", "--volume", "c")
    for volume in ("os", "1_0"):
        named = ("--machine", "db-01", "--volume", volume)
        run("ade", "protect", "--in", passphrase_file, *named)
    listed = shown(run("ade", "inventory", "--json"))["secrets"]
    assert sorted(each["volume"] for each in listed) == ["1_0", "C:", "os"]
    table = run("ade", "inventory").stdout
    for volume in ("C:", "os", "1_0"):
        assert f" {volume} " in table
    assert "LinuxPassPhraseFileName" not in table
