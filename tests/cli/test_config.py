"""keyhier.toml: where it is read, and what is refused in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keyhier.cli.config import Configuration
from keyhier.cli.session import Settings
from keyhier.errors import AccessDeniedError, InvalidInputError, KeyhierError, NotFoundError
from tests.cli.conftest import Run, VaultFile

GOOD = """
default = "lab"
[profiles.lab]
vault = "memory:"
[profiles.other]
vault = "https://contoso.vault.azure.net"
"""


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def test_a_profile_names_a_vault(configuration: Path) -> None:
    written(configuration, GOOD)
    read = Configuration.load(None)
    assert read.default == "lab"
    assert read.vault("other") == "https://contoso.vault.azure.net"


def test_without_a_file_there_are_no_profiles() -> None:
    assert Configuration.load(None).profiles == {}


def test_promise_4_the_working_directory_is_never_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "trap"
    folder.mkdir()
    written(folder / "keyhier.toml", GOOD)
    (folder / ".config" / "keyhier").mkdir(parents=True)
    written(folder / ".config" / "keyhier" / "keyhier.toml", GOOD)
    monkeypatch.chdir(folder)
    assert Configuration.load(None).profiles == {}
    # Relative folders are invalid by the XDG base directory specification.
    monkeypatch.setenv("XDG_CONFIG_HOME", ".config")
    assert Configuration.load(None).profiles == {}
    monkeypatch.setenv("KEYHIER_CONFIG", "keyhier.toml")
    with pytest.raises(InvalidInputError, match="absolute"):
        Configuration.load(None)


def test_a_path_that_was_given_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "my.toml", GOOD)
    monkeypatch.chdir(tmp_path)
    assert Configuration.load("my.toml").default == "lab"
    monkeypatch.setenv("KEYHIER_CONFIG", str(path))
    assert Configuration.load(None).default == "lab"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("vault = 'memory:'", "unknown key 'vault' at its top; known are audit, default, profiles"),
        (
            "[profiles.a]\nvault='memory:'\npin='1'",
            "unknown key 'pin' in profiles.a; known are vault",
        ),
        ("[profiles.a]", "profiles.a names no vault"),
        ("[profiles.a]\nvault = 1", "profiles.a names no vault"),
        ("profiles = 1", "profiles is not a table"),
        ("[profiles]\na = 'memory:'", "profiles.a is not a table"),
        ("default = 'a'", "default is none of its profiles; known are none"),
        ("default = 1", "default is none of its profiles"),
        ("default =", "is no TOML"),
        (b"\xff", "is not UTF-8"),
        ("#" * (1024 * 1024 + 1), "has more than 1048576 bytes"),
        ("default = []", "default is none of its profiles"),
        ("a = " + "[" * 10_000, "is no TOML"),
    ],
)
def test_promise_9_what_it_does_not_know_is_refused(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    path = written(tmp_path / "keyhier.toml", content)
    with pytest.raises(InvalidInputError) as caught:
        Configuration.load(str(path))
    assert message in caught.value.message


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "keyhier.toml", GOOD)
    path.chmod(mode)
    with pytest.raises(AccessDeniedError, match="changed by others"):
        Configuration.load(str(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "keyhier.toml", GOOD)
    os.chown(path, 65534, 65534)
    with pytest.raises(AccessDeniedError, match="changed by others"):
        Configuration.load(str(path))


def test_a_file_that_is_missing_or_unreadable_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Configuration.load(str(tmp_path / "none.toml"))
    with pytest.raises(InvalidInputError, match="is a folder"):
        Configuration.load(str(tmp_path))
    closed = written(tmp_path / "file", "") / "keyhier.toml"
    with pytest.raises(AccessDeniedError, match="Not a directory"):
        Configuration.load(str(closed))


def test_a_profile_of_a_configuration_that_is_not_there(configuration: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        Settings(profile="lab").vault_uri()
    assert f"there is no configuration {configuration}" in caught.value.message
    assert "--config" in (caught.value.remedy or "")


def test_the_order_of_what_names_a_vault(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(configuration, GOOD)
    assert Settings().vault_uri() == "memory:"
    monkeypatch.setenv("KEYHIER_VAULT", "memory:?file=/v")
    assert Settings().vault_uri() == "memory:?file=/v"
    assert Settings(profile="other").vault_uri() == "https://contoso.vault.azure.net"
    assert Settings(vault="memory:?file=/w").vault_uri() == "memory:?file=/w"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (Settings(), InvalidInputError, "no vault is named"),
        (Settings(vault="memory:", profile="lab"), InvalidInputError, "both name a vault"),
        (Settings(profile="none"), NotFoundError, "known are lab, other"),
    ],
)
def test_promise_9_a_vault_is_named_once(
    configuration: Path, settings: Settings, error: type[KeyhierError], message: str
) -> None:
    written(configuration, GOOD.replace('default = "lab"', ""))
    with pytest.raises(error) as caught:
        settings.vault_uri()
    assert message in caught.value.message


def test_the_command_uses_a_profile(run: Run, configuration: Path, vault_file: VaultFile) -> None:
    written(configuration, f'default = "a"\n[profiles.a]\nvault = "{vault_file.uri}"\n')
    assert "kek" in run("key", "list").stdout
    assert "kek" in run("key", "list", "--profile", "a").stdout
    assert run("key", "list", "--profile", "b").exit_code == 3
    assert run("--profile", "a", "key", "list", "--profile", "a").exit_code == 8
    assert "kek" in run("key", "list", "--config", configuration, "--profile", "a").stdout
    assert run("key", "list", env={"KEYHIER_VAULT": "memory:"}).stdout == "no keys\n"
