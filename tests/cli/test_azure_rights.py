"""The page's table of rights, row by row: what it names is enough, and all of it is made use of.

A vault on loopback knows no permissions, so every route is refused that needs another than those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import keyhier
from keyhier.testing.keyvault import KeyVault
from keyhier_azure.rights import Right
from tests.azure.conftest import uri_of
from tests.azure.environment import logged_in
from tests.azure_disk.forms import ade_bek
from tests.cli.conftest import Run, VaultFile

PAGE: Final = Path(__file__).parents[2] / "docs" / "howto" / "azure.md"
FORBIDDEN: Final = {"error": {"code": "Forbidden", "innererror": {"code": "ForbiddenByRbac"}}}


def _rows() -> dict[str, tuple[frozenset[str], str]]:
    """Return what each row's first cell needs, such as ``keys: get``, and its roles."""
    _, _, table = PAGE.read_text(encoding="utf-8").partition("| command | permissions | role |")
    rows = re.findall(r"^\| (`.+?) \| (.*?) \| (.+) \|$", table.partition("\n\n")[0], re.MULTILINE)
    return {command: (_rights(cell), roles) for command, cell, roles in rows}


def _rights(cell: str) -> frozenset[str]:
    groups = re.findall(r"(keys|secrets): (\w+(?:, \w+)*)", cell)
    return frozenset(f"{objects}: {each}" for objects, them in groups for each in them.split(", "))


def _routes() -> Iterator[tuple[str, str]]:
    """Yield each route with what it needs, as the reference of the service's API has it."""
    for noun in ("key", "secret"):
        needs = {
            "get": ["get_{}", "get_deleted_{}"],
            "list": ["list_{}s", "list_{}_versions", "list_deleted_{}s"],
            "delete": ["delete_{}"],
            "recover": ["recover_deleted_{}"],
            "purge": ["purge_deleted_{}"],
            "backup": ["backup_{}"],
            "restore": ["restore_{}"],
            "update" if noun == "key" else "set": ["update_{}"],
        }
        for right, routes in needs.items():
            yield from ((route.format(noun), f"{noun}s: {right}") for route in routes)
    yield "set_secret", "secrets: set"
    for operation in ("create", "import", "rotate", "encrypt", "decrypt", "sign", "verify"):
        route = f"{operation}_key" if operation in {"create", "import", "rotate"} else operation
        yield route, f"keys: {operation}"
    yield "wrap_key", "keys: wrapKey"
    yield "unwrap_key", "keys: unwrapKey"
    for verb in ("get", "set"):
        yield f"{verb}_rotation_policy", f"keys: {verb}rotationpolicy"


ROWS: Final = _rows()
ROUTES: Final = dict(_routes())


@attrs.define
class Scene:
    """A vault that somebody may use, and a folder."""

    service: KeyVault
    run: Run
    folder: Path
    rsa_key: RSAPrivateKey
    other: VaultFile

    def command(self, *words: object) -> None:
        done = self.run(*words, env={"KEYHIER_VAULT": uri_of(self.service)})
        assert done.exit_code == 0, done.output

    def with_records(self, *words: object) -> None:
        self.command(*words, "--records", f"sqlite:{self.folder / 'records.db'}")

    def open(self) -> keyhier.Vault:
        return keyhier.open(uri_of(self.service), credential=self.service.credential())

    def file(self, name: str, content: bytes = b"") -> Path:
        path = self.folder / name
        if content:
            path.write_bytes(content)
        return path


Step = Callable[[Scene], object]


def _command(*words: object) -> Step:
    return lambda scene: scene.command(*words)


def _api(use: Callable[[keyhier.Vault], object]) -> Step:
    def step(scene: Scene) -> None:
        with scene.open() as vault:
            use(vault)

    return step


def _bek(scene: Scene) -> Path:
    with ade_bek() as bek:
        return bek.write(scene.folder)


def _ade_protect(*options: str) -> Step:
    named = ("--machine", "web-01", "--volume", "C:")
    return lambda scene: scene.command("ade", "protect", "--in", _bek(scene), *named, *options)


def _ade_recover_by_id(scene: Scene) -> None:
    (stored,) = scene.folder.glob("*.BEK")
    scene.command("ade", "recover", stored.stem, "--out", scene.file("disk"))


def _protect(scene: Scene) -> None:
    key = scene.file("disk.key", b"passphrase number 7")
    scene.with_records("protect", key, "--vm", "web-01", "--volume", "os", "--under", "kek")


def _recover(scene: Scene) -> None:
    out = scene.file("again.key")
    scene.with_records("recover", "--vm", "web-01", "--volume", "os", "--out", out)


def _envelope(scene: Scene) -> None:
    with scene.open() as vault:
        scene.file("envelope", str(vault.key("kek").wrap(b"secret")).encode())


def _restore(scene: Scene) -> None:
    with scene.open() as vault:
        vault.restore_key(scene.file("backup").read_bytes())


def _backup_of_what_is_gone(scene: Scene) -> None:
    with scene.open() as vault:
        scene.file("backup", vault.backup_key("kek"))
        vault.key("kek").delete(confirm="kek")
        vault.purge_key("kek", confirm="kek")


def _import(scene: Scene) -> None:
    der = scene.rsa_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with scene.open() as vault:
        vault.import_key("theirs", der)


_DISABLED: Final = _api(lambda vault: vault.key("kek").disable())
_DELETED: Final = _api(lambda vault: vault.key("kek").delete(confirm="kek"))
_SECRET: Final = _api(lambda vault: vault.secrets.set("disk", "text"))
_SECRET_GONE: Final = _api(lambda vault: vault.secrets.delete("disk", confirm="disk"))


def _wrap(scene: Scene) -> None:
    source = scene.file("secret", b"secret")
    scene.command("wrap", "kek", "--in", source, "--out", scene.file("envelope"))


# What a row is about: what is there before, and what needs the rights.
SCENES: Final[dict[str, list[tuple[list[Step], Step]]]] = {
    "`wrap` with an RSA key": [([], _wrap)],
    "`unwrap` with an RSA key": [
        (
            [_envelope],
            lambda scene: scene.command(
                "unwrap", "--in", scene.file("envelope"), "--out", scene.file("opened")
            ),
        )
    ],
    "`key show`": [([], _command("key", "show", "kek"))],
    "`key list`": [([], _command("key", "list"))],
    "`key list --deleted`": [([_DELETED], _command("key", "list", "--deleted"))],
    "`key create`": [([], _command("key", "create", "new", "--spec", "RSA-2048"))],
    "`key rotate`": [([], _command("key", "rotate", "kek"))],
    "`key disable`, `key enable`": [
        ([], _command("key", "disable", "kek")),
        ([_DISABLED], _command("key", "enable", "kek")),
    ],
    "`key delete`": [([], _command("key", "delete", "kek", "--confirm", "kek"))],
    "`key recover`": [([_DELETED], _command("key", "recover", "kek"))],
    "`key purge`": [([_DELETED], _command("key", "purge", "kek", "--confirm", "kek"))],
    "`vault doctor`": [([], _command("vault", "doctor"))],
    "`protect`, `recover`, `records verify`": [
        ([], _protect),
        ([_protect], _recover),
        ([_protect], lambda scene: scene.with_records("records", "verify")),
    ],
    "`create-kek`, `set create`": [
        ([], lambda scene: scene.with_records("create-kek", "team", "--under", "kek")),
        ([], lambda scene: scene.with_records("set", "create", "web", "--key", "kek")),
    ],
    "`rotate`": [([_protect], lambda scene: scene.with_records("rotate", "kek"))],
    "`migrate`, of the vault before": [
        ([_protect], lambda scene: scene.with_records("migrate", "--to", scene.other.uri))
    ],
    "`ade protect`": [([], _ade_protect())],
    "`ade protect --kek`": [([], _ade_protect("--kek", "kek"))],
    "`ade recover`, without a KEK": [([_ade_protect()], _ade_recover_by_id)],
    "`ade recover`": [([_ade_protect("--kek", "kek")], _ade_recover_by_id)],
    "`ade recover --machine`": [
        (
            [_ade_protect("--kek", "kek")],
            lambda scene: scene.command(
                "ade", "recover", "--machine", "web-01", "--out", scene.file("disk")
            ),
        )
    ],
    "`ade inventory`": [
        ([_ade_protect("--kek", "kek")], _command("ade", "inventory")),
        ([_ade_protect("--kek", "kek")], _command("ade", "inventory", "--all-versions")),
    ],
    "`Vault.import_key`": [([], _import)],
    "`Key.rotate(tag=…)`": [([], _api(lambda vault: vault.key("kek").rotate(tag="a job")))],
    "`Key.rotation_policy`": [([], _api(lambda vault: vault.key("kek").rotation_policy()))],
    "`Key.set_rotation_policy`": [
        (
            [],
            _api(
                lambda vault: vault.key("kek").set_rotation_policy(
                    keyhier.RotationPolicy(rotate_after="P30D")
                )
            ),
        )
    ],
    "`Vault.backup_key`": [([], _api(lambda vault: vault.backup_key("kek")))],
    "`Vault.restore_key`": [([_backup_of_what_is_gone], _restore)],
    "`Secrets.get`": [([_SECRET], _api(lambda vault: vault.secrets.get("disk")))],
    "`Secrets.list`, `versions`, `deleted`": [
        ([_SECRET], _api(lambda vault: list(vault.secrets.list()))),
        ([_SECRET], _api(lambda vault: vault.secrets.versions("disk"))),
        ([_SECRET, _SECRET_GONE], _api(lambda vault: vault.secrets.deleted())),
    ],
    "`Secrets.set`": [([], _SECRET)],
    "`Secrets.delete`": [([_SECRET], _SECRET_GONE)],
    "`Secrets.recover`": [
        ([_SECRET, _SECRET_GONE], _api(lambda vault: vault.secrets.recover("disk")))
    ],
    "`Secrets.purge`": [
        ([_SECRET, _SECRET_GONE], _api(lambda vault: vault.secrets.purge("disk", confirm="disk")))
    ],
}
# Managed HSMs have roles of their own, which the service's data actions tell apart and we do not.
OF_MANAGED_HSMS: Final = {"`wrap` with an AES key", "`volume-key new --random vault`"}


TRIED: Final = [(row, number) for row, scenes in SCENES.items() for number in range(len(scenes))]


def test_every_row_is_tried() -> None:
    assert set(ROWS) - OF_MANAGED_HSMS == set(SCENES)


def test_every_route_needs_something(keyvault: KeyVault) -> None:
    tenant = {"token", "token_keys", "openid_configuration", "discovery", "subscriptions"}
    assert keyvault.faults.routes - tenant == set(ROUTES)


@pytest.fixture(scope="module")
def backup(signing_key: RSAPrivateKey) -> bytes:
    """A key that is restored in less time than one is made."""
    der = signing_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with (
        KeyVault(signing_key=signing_key) as service,
        keyhier.open(uri_of(service), credential=service.credential()) as vault,
    ):
        vault.import_key("kek", der)
        return vault.backup_key("kek")


@pytest.mark.parametrize(("row", "number"), TRIED, ids=[f"{row} {n}" for row, n in TRIED])
def test_what_a_row_names_is_enough_and_all_of_it_is_made_use_of(
    row: str,
    number: int,
    keyvault: KeyVault,
    run: Run,
    tmp_path: Path,
    signing_key: RSAPrivateKey,
    backup: bytes,
    vault_file: VaultFile,
) -> None:
    rights, _ = ROWS[row]
    scene = Scene(keyvault, run, tmp_path, signing_key, vault_file)
    before, use = SCENES[row][number]
    with logged_in(keyvault):
        with scene.open() as vault:
            vault.restore_key(backup)
        for step in before:
            step(scene)
        for route in keyvault.faults.routes & ROUTES.keys():
            if ROUTES[route] not in rights:
                keyvault.faults.add(route, status=403, document=FORBIDDEN, times=None)
        keyvault.requests.clear()
        use(scene)
    # What is answered with 404 was allowed, too; 401 is a challenge.
    asked = {each.route for each in keyvault.requests.all() if each.status not in {401, 403}}
    assert {ROUTES[route] for route in asked & ROUTES.keys()} == rights


@pytest.mark.parametrize("row", [row for row in ROWS if row not in OF_MANAGED_HSMS])
def test_a_row_s_role_is_the_one_that_errors_name(row: str) -> None:
    rights, roles = ROWS[row]
    known = {f"{right.objects}: {right.permission}": right.role for right in Right}
    # The least first, each with all that is before it.
    order = list(dict.fromkeys(right.role for right in Right))
    expected = {
        max((known[right] for right in rights if right.startswith(objects)), key=order.index)
        for objects in ("keys", "secrets")
        if any(right.startswith(objects) for right in rights)
    }
    assert set(roles.split("; ")) == expected
