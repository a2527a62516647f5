"""The table of placement in keyhier.toml: what it says, what is refused in it, who honours it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from benchmarks.placement import fleet
from keyhier.cli.config import Configuration
from keyhier.errors import AccessDeniedError, InvalidInputError
from keyhier.placement import Placement
from keyhier.placement.policy import Enforcement, PlacementPolicy
from tests.cli.conftest import Run, VaultFile
from tests.plans.scenes import CMK_URL, HOST, SUBSCRIPTION, disk, encryption_set, machine, vault

LAB = """
default = "lab"
[profiles.lab]
vault = "{vault}"
records = "sqlite:{folder}/records.db"
[profiles.lab.placement]
enforcement = "{enforcement}"
[profiles.lab.placement.vaults.memory]
region = "West Europe"
subscription = "a"
"""


def placement(path: Path, table: str) -> PlacementPolicy:
    path.write_text(f'[profiles.lab]\nvault = "memory:"\n{table}')
    path.chmod(0o600)
    found = Configuration.load(None).hierarchies["lab"].policy().placement
    assert found is not None
    return found


def test_vaults_are_where_the_table_says(configuration: Path) -> None:
    found = placement(
        configuration,
        """
        [profiles.lab.placement]
        enforcement = "warn"
        rules = "today"
        [profiles.lab.placement.vaults."Contoso-KV.vault.azure.net"]
        region = "East US 2"
        subscription = "s"
        tenant = "t"
        [profiles.lab.placement.vaults.Disks]
        site = "vienna"
        subscription = "ours"
        """,
    )
    assert found.enforcement is Enforcement.WARN
    assert not isinstance(found.rules, str)
    assert found.rules.name == "today"
    # As the id of a key names its vault.
    assert found.vault("contoso-kv.vault.azure.net").placement == Placement("eastus2", "s", "t")
    assert found.vault("Disks").placement == Placement.site("vienna", subscription="ours")
    assert found.vault("disks").placement == Placement()


def test_without_a_table_nobody_asks_and_an_empty_one_enforces(configuration: Path) -> None:
    found = placement(configuration, "[profiles.lab.placement]\n")
    assert (found.enforcement, found.vaults) == (Enforcement.ENFORCE, {})
    configuration.write_text('[profiles.lab]\nvault = "memory:"\n')
    assert Configuration.load(None).hierarchies["lab"].policy().placement is None


def test_rules_of_ones_own_are_a_file(configuration: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('title = "Ours"\nextends = "strict"\nomits = ["cmk-vault-subscription"]\n')
    found = placement(configuration, f'[profiles.lab.placement]\nrules = "{own}"\n')
    assert not isinstance(found.rules, str)
    assert "cmk-vault-subscription" not in {rule.id for rule in found.rules}


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_rules_that_others_may_change_are_refused(
    mode: int, configuration: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('title = "Ours"\n')
    own.chmod(mode)
    with pytest.raises(AccessDeniedError, match="could choose what is allowed"):
        placement(configuration, f'[profiles.lab.placement]\nrules = "{own}"\n')


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("placement = 1", "profiles.lab.placement is not a table"),
        ("placement = { mode = 'warn' }", "unknown key 'mode'"),
        ("placement = { mode = 'warn' }", "known are enforcement, machines, rules, vaults"),
        ("placement = { enforcement = 'off' }", "placement.enforcement is one of enforce, warn"),
        ("placement = { enforcement = ['warn'] }", "placement.enforcement is one of"),
        ("placement = { rules = 'lax' }", "no rule set 'lax'; there are"),
        ("placement = { rules = 1 }", "placement.rules is the name of rules"),
        ("placement = { rules = 'own.toml' }", "or the absolute path of a file"),
        ("placement = { rules = '/no/own.toml' }", "there is no file /no/own.toml"),
        ("placement = { vaults = 1 }", "placement.vaults is a table of vaults"),
        ("placement = { vaults = { a = 'eastus' } }", "placement.vaults.a is not a table"),
        ("placement = { vaults = { a = { zone = '1' } } }", "unknown key 'zone'"),
        ("placement = { vaults = { a = { region = 1 } } }", "vaults.a.region is text"),
        ("placement = { vaults = { a = { region = ' ' } } }", "vaults.a.region is text"),
        ("placement = { vaults = { a = { site = 'v', region = 'e' } } }", "has a site, and a"),
        ("placement = { vaults = { 'A.b' = {}, 'a.b' = {} } }", "a.b twice, in another case"),
        ("placement = { machines = 1 }", "placement.machines is a table of machines"),
        ("placement = { machines = { a = 'eastus' } }", "placement.machines.a is not a table"),
        ("placement = { machines = { A = {}, a = {} } }", "a twice, in another case"),
    ],
)
def test_promise_9_what_the_table_does_not_know_is_refused(
    table: str, message: str, configuration: Path
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        placement(configuration, table)
    assert message in caught.value.message


def test_promise_10_a_set_is_refused_or_noted_as_the_profile_says(
    run: Run, configuration: Path, vault_file: VaultFile, tmp_path: Path
) -> None:
    def set_policy(enforcement: str) -> None:
        configuration.write_text(
            LAB.format(vault=vault_file.uri, folder=tmp_path, enforcement=enforcement)
        )
        configuration.chmod(0o600)

    make = ("set", "create", "web", "--key", "kek", "--region", "northeurope")
    set_policy("enforce")
    refused = run(*make, "--subscription", "a")
    assert refused.exit_code == 17
    assert "cmk-vault-region" in refused.stderr
    assert run("set", "list").stdout == "no sets\n"
    set_policy("warn")
    made = run(*make, "--subscription", "a")
    assert made.exit_code == 0, made.stderr
    assert "warning: cmk-vault-region: " in made.stdout


def test_promise_10_a_set_whose_key_moved_is_refused_by_where_the_key_is(
    run: Run, configuration: Path, vault_file: VaultFile, tmp_path: Path
) -> None:
    with vault_file.open() as opened:
        new = opened.create_key("moved", "RSA-2048").id
    lab = LAB.format(vault=vault_file.uri, folder=tmp_path, enforcement="enforce")
    ours = f'subscription = "{SUBSCRIPTION}"'
    here = f'[profiles.lab.placement.vaults."{HOST}"]\nregion = "eastus2"\n{ours}\n'
    document = tmp_path / "des.json"
    document.write_text(json.dumps(encryption_set()))
    alias = ("--alias", f"{CMK_URL}={new}")
    place = ("--region", "eastus2", "--subscription", SUBSCRIPTION)
    make = ("set", "create", "des", "--pin", "--key", CMK_URL, *place, *alias)
    configure(configuration, lab, here, default="")
    for refused in (run(*make), run("set", "import", document, *alias)):
        assert refused.exit_code == 17
        assert "cmk-vault-region" in refused.stderr
    assert run("set", "list").stdout == "no sets\n"
    # While the vault was where the set may have its key.
    near = lab.replace("West Europe", "eastus2").replace('subscription = "a"', ours)
    configure(configuration, near, default="")
    kek = run("set", "create", "des", "--key", "kek", *place)
    assert kek.exit_code == 0, kek.stderr
    configure(configuration, lab, here, default="")
    refused = run("set", "refer", "des", "--pin", "--key", CMK_URL, *alias)
    assert refused.exit_code == 17
    assert "cmk-vault-region" in refused.stderr
    configure(configuration, near, default="")
    assert run("set", "refer", "des", "--pin", "--key", CMK_URL, *alias).exit_code == 0
    configure(configuration, lab, here, default="")
    seen = run("set", "observe", "des", *alias)
    assert seen.exit_code == 0
    assert "not rotated: " in seen.stdout
    assert "cmk-vault-region" in seen.stdout


def test_a_plan_is_held_to_the_rules_of_the_profile(
    run: Run, configuration: Path, tmp_path: Path
) -> None:
    other = vault() | {"id": vault()["id"].replace("1111-1111", "2222-2222")}
    files = []
    for name, content in (("vm", machine()), ("disk", disk()), ("kv", other)):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(content))
    plan = ("ade", "plan", "enable-existing", *files)
    assert run(*plan).exit_code == 17
    own = tmp_path / "own.toml"
    own.write_text('title = "Ours"\nextends = "strict"\nomits = ["ade-vault-subscription"]\n')
    configuration.write_text(
        'default = "lab"\n[profiles.lab]\nvault = "memory:"\n'
        f'[profiles.lab.placement]\nrules = "{own}"\n'
    )
    configuration.chmod(0o600)
    assert run(*plan).exit_code == 0
    assert run(*plan, "--rules", "strict").exit_code == 17


def checked(result: Result) -> tuple[int, set[str], set[str]]:
    """Return how a check ended, the rules that are broken, and those that were not checked."""
    report = json.loads(result.stdout)
    broken = {each["rule"] for each in report["violations"]}
    return result.exit_code, broken, {each["rule"] for each in report["not_checked"]}


def placed(rules: str = "strict", region: str = "westeurope", name: str = "lab") -> str:
    """A profile that says where the vault of a fleet is."""
    return (
        f'[profiles.{name}]\nvault = "memory:"\n[profiles.{name}.placement]\nrules = "{rules}"\n'
        f'[profiles.{name}.placement.vaults."Fleet-KV-000.vault.azure.net"]\n'
        f'region = "{region}"\ntenant = "33333333-3333-3333-3333-333333333333"\n'
    )


def configure(configuration: Path, *profiles: str, default: str = 'default = "lab"\n') -> None:
    configuration.write_text(default + "".join(profiles))
    configuration.chmod(0o600)


def written(folder: Path, *resources: object) -> Path:
    path = folder / "fleet.json"
    path.write_text(json.dumps(resources))
    return path


def in_another_subscription() -> list[dict[str, Any]]:
    """A fleet whose set names its vault by the key's URL, in another subscription."""
    resources = fleet(1)
    resources[1]["id"] = resources[1]["id"].replace("1111-1111", "2222-2222")
    del resources[0]["properties"]["activeKey"]["sourceVault"]
    return resources


def test_a_check_is_held_to_the_rules_of_the_profile_unless_others_are_named(
    run: Run, configuration: Path, tmp_path: Path
) -> None:
    path = written(tmp_path, *in_another_subscription())
    check = ("check", "--json", path)
    assert checked(run(*check))[1] == {"cmk-vault-subscription"}
    own = tmp_path / "own.toml"
    own.write_text('title = "Ours"\nextends = "strict"\nomits = ["cmk-vault-subscription"]\n')
    named = '[profiles.other]\nvault = "memory:"\n[profiles.other.placement]\nrules = "strict"\n'
    lab = f'[profiles.lab]\nvault = "memory:"\n[profiles.lab.placement]\nrules = "{own}"\n'
    configure(configuration, lab, named)
    assert checked(run(*check))[1] == set()
    assert json.loads(run(*check).stdout)["rules"] == "own"
    assert checked(run(*check, "--rules", "strict"))[1] == {"cmk-vault-subscription"}
    assert checked(run(*check, "--profile", "other"))[1] == {"cmk-vault-subscription"}
    assert checked(run("--profile", "other", *check))[1] == {"cmk-vault-subscription"}
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text(named)
    elsewhere.chmod(0o600)
    assert checked(run(*check, "--config", elsewhere, "--profile", "other"))[1]


def test_a_check_knows_where_the_profile_says_that_a_vault_is(
    run: Run, configuration: Path, tmp_path: Path
) -> None:
    described, vault_document, *others = fleet(1)
    check = ("check", "--json", written(tmp_path, described, *others))
    assert "cmk-vault-region" in checked(run(*check))[2]
    configure(configuration, placed())
    code, broken, open_rules = checked(run(*check))
    assert (code, broken) == (20, set())
    assert not {"cmk-vault-region", "cmk-vault-tenant", "cmk-vault-subscription"} & open_rules
    # What the profile does not tell stays unknown.
    assert "cmk-vault-purge-protection" in open_rules
    configure(configuration, placed(region="North Europe"))
    assert checked(run(*check))[:2] == (21, {"cmk-vault-region"})
    # A document that says otherwise does not hide it.
    check = ("check", "--json", written(tmp_path, described, vault_document, *others))
    assert checked(run(*check))[1] == {"cmk-vault-region"}
    del vault_document["location"]
    check = ("check", "--json", written(tmp_path, described, vault_document, *others))
    assert checked(run(*check))[1] == {"cmk-vault-region"}
    configure(configuration, placed())
    assert "cmk-vault-region" not in checked(run(*check))[2]


def test_a_tokens_label_is_no_vault_of_azure(run: Run, configuration: Path, tmp_path: Path) -> None:
    described, _, *others = fleet(1)
    check = ("check", "--json", written(tmp_path, described, *others))
    without = checked(run(*check))
    label = placed(region="North Europe").replace("Fleet-KV-000.vault.azure.net", "fleet-kv-000")
    configure(configuration, label)
    assert checked(run(*check)) == without


def test_promise_9_a_check_of_a_profile_that_is_not_there_is_refused(
    run: Run, configuration: Path, tmp_path: Path
) -> None:
    path = written(tmp_path, *fleet(1))
    assert run("check", "--profile", "lab", path).exit_code == 3
    configure(configuration, placed(rules="today"))
    result = run("check", "--profile", "laboratory", path)
    assert result.exit_code == 3
    assert "known are lab" in result.stderr
    plan = run("ade", "plan", "enable-existing", path, "--profile", "laboratory")
    assert plan.exit_code == 3


def test_a_check_does_not_ask_who_enforces_placement(
    run: Run, configuration: Path, tmp_path: Path
) -> None:
    warns = placed(region="North Europe").replace("rules =", 'enforcement = "warn"\nrules =')
    configure(configuration, warns)
    assert run("check", written(tmp_path, *fleet(1))).exit_code == 21


def test_promise_10_a_volume_is_refused_or_noted_as_the_profile_says(
    run: Run, configuration: Path, vault_file: VaultFile, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"x" * 32)
    far = '[profiles.lab.placement.machines.WEB-01]\nregion = "northeurope"\n'

    def set_policy(enforcement: str, machines: str = "") -> None:
        lab = LAB.format(vault=vault_file.uri, folder=tmp_path, enforcement=enforcement)
        configuration.write_text(lab + machines)
        configuration.chmod(0o600)

    def protect(volume: str, *options: str) -> Result:
        return run("protect", "--vm", "web-01", "--volume", volume, "--under", "kek", *options, key)

    here = ("--region", "West Europe", "--subscription", "A")
    set_policy("enforce")
    for options in (("--region", "northeurope"), ("--subscription", "b")):
        refused = protect("C:", *options)
        assert refused.exit_code == 17
        assert "kek-vault-" in refused.stderr
    assert "warning" not in protect("C:", *here).stdout
    unsure = protect("D:", "--json")
    assert unsure.exit_code == 0, unsure.stderr
    assert len(json.loads(unsure.stdout)["warnings"]) == 2
    set_policy("enforce", far)
    assert protect("E:").exit_code == 17
    assert protect("E:", *here).exit_code == 17
    set_policy("warn", far)
    made = protect("E:", "--subscription", "a")
    assert made.exit_code == 0, made.stderr
    assert "warning: kek-vault-region: " in made.stdout
    record = next(each for each in made.stdout.split() if each.count("-") == 4)
    assert "kek-vault-region" in run("records", "show", record).stdout


def test_promise_10_a_volume_is_refused_where_its_set_is_not(
    run: Run, configuration: Path, vault_file: VaultFile, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"x" * 32)
    lab = LAB.format(vault=vault_file.uri, folder=tmp_path, enforcement="enforce")
    configuration.write_text(lab)
    configuration.chmod(0o600)
    made = run("set", "create", "web", "--key", "kek", "--region", "westeurope")
    assert made.exit_code == 0, made.stderr

    def protect(volume: str, *options: str) -> Result:
        return run("protect", "--vm", "web-01", "--volume", volume, "--set", "web", *options, key)

    refused = protect("C:", "--region", "northeurope")
    assert refused.exit_code == 17
    assert "set-vm-region" in refused.stderr
    assert json.loads(run("records", "list", "--json").stdout) == {"records": []}
    protected = protect("C:", "--region", "West Europe")
    assert protected.exit_code == 0, protected.stderr
    assert "set-vm-region" not in protected.stdout
    # Whose the machine is nobody said.
    assert "warning: set-vm-subscription was not checked" in protected.stdout


@pytest.mark.parametrize("option", ["--region", "--subscription"])
@pytest.mark.parametrize("has_profile", [True, False], ids=["profile", "no profile"])
@pytest.mark.parametrize("under", [("--under", "kek"), ("--set", "web")], ids=["KEK", "set"])
def test_the_place_of_a_machine_is_refused_where_no_profile_asks_for_it(
    run: Run,
    configuration: Path,
    vault_file: VaultFile,
    tmp_path: Path,
    option: str,
    under: tuple[str, str],
    *,
    has_profile: bool,
) -> None:
    lab = LAB.format(vault=vault_file.uri, folder=tmp_path, enforcement="enforce")
    configuration.write_text(lab[: lab.index("[profiles.lab.placement]")] if has_profile else "")
    configuration.chmod(0o600)
    stores = () if has_profile else ("--vault", vault_file.uri, "--records", f"{tmp_path}/r.db")
    # It is refused before the key is read, of which there is no file.
    command = ("protect", *stores, "--vm", "web-01", "--volume", "C:", *under, tmp_path / "none")
    result = run(*command, option, "westeurope")
    assert result.exit_code == 8, result.stderr
    assert "no table of placement" in result.stderr
    assert "[profiles.NAME.placement]" in result.stderr
    assert "no table of placement" not in run(*command).stderr
