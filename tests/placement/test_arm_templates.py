"""ARM templates: what their expressions yield, and what they unfold to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.placement.arm.deployment import Deployment, Problems, TooMuchError
from keyhier.placement.arm.functions import FUNCTIONS
from keyhier.placement.arm.resource_functions import RESOURCE_FUNCTIONS
from keyhier.placement.arm.scope import Scope
from keyhier.placement.arm.template import unfold
from keyhier.placement.unknown import UNKNOWN

WHERE = Deployment("test", "sub", "group", "westeurope", "tenant")


def told(text: object, where: Deployment = WHERE, **declared: Any) -> tuple[object, list[str]]:
    problems = Problems()
    scope = Scope(where, problems)
    scope.declare_parameters(declared.get("parameters"), declared.get("given", {}), "/parameters")
    scope.declare_variables(declared.get("variables"), "/variables")
    return scope.value(text, "/x"), [each.text for each in problems.found]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("[[plain]", "[plain]"),
        ("[concat('a', 1, 'it''s')]", "a1it's"),
        ("[concat(createArray(1), createArray(2))]", [1, 2]),
        ("[format('{0}-{1}{{', 'a', 2)]", "a-2{"),
        ("[if(equals(1, 1), 'yes', fail('no'))]", "yes"),
        ("[if(contains('abc', 'b'), 1, 2)]", 1),
        ("[and(true(), not(false()))]", True),
        ("[coalesce(null(), 'a')]", "a"),
        ("[createObject('a', createArray(1, 2)).a[1]]", 2),
        ("[tryGet(createObject('a', 1), 'b')]", None),
        ("[createObject('a', 1).?b]", None),
        ("[toLower(substring('ABCD', 1, 2))]", "bc"),
        ("[last(split('a/b/c', '/'))]", "c"),
        ("[join(createArray('a', 'b'), '-')]", "a-b"),
        ("[union(createArray(1, 2), createArray(2, 3))]", [1, 2, 3]),
        (
            "[shallowMerge(createArray(createObject('a', 1), createObject('b', 2)))]",
            {"a": 1, "b": 2},
        ),
        ("[length(range(0, 5))]", 5),
        ("[div(-7, 2)]", -3),
        ("[mod(-7, 2)]", -1),
        ("[max(1, 5, 3)]", 5),
        ("[padLeft(7, 3, '0')]", "007"),
        ("[int('12')]", 12),
        ("[string(createArray(1, 'a'))]", '[1,"a"]'),
        ("[json('{\"a\": 1}').a]", 1),
        ("[resourceGroup().location]", "westeurope"),
        ("[subscription().tenantId]", "tenant"),
        (
            "[resourceId('Microsoft.KeyVault/vaults/', 'kv')]",
            "/subscriptions/sub/resourceGroups/group/providers/Microsoft.KeyVault/vaults/kv",
        ),
        (
            "[resourceId('s', 'g', 'A.B/c/d', 'e', 'f')]",
            "/subscriptions/s/resourceGroups/g/providers/A.B/c/e/d/f",
        ),
        ("[subscriptionResourceId('A.B/c', 'd')]", "/subscriptions/sub/providers/A.B/c/d"),
        ("[extensionResourceId('/x', 'A.B/c', 'd')]", "/x/providers/A.B/c/d"),
        ("[tenantResourceId('A.B/c', 'd')]", "/providers/A.B/c/d"),
        ("[reference('x').y]", UNKNOWN),
        ("[concat('a', uniqueString('b'))]", UNKNOWN),
        ("[and(false(), empty(reference('x')))]", False),
        ("[if(empty(reference('x')), 'a', 'a')]", "a"),
        ("[if(empty(reference('x')), 'a', 'b')]", UNKNOWN),
        ("[own.function('x')]", UNKNOWN),
        ("[listKeys('x', '2020-01-01').keys[0]]", UNKNOWN),
    ],
)
def test_an_expression_yields(text: str, value: object) -> None:
    assert told(text) == (value, [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[concat('a']", "malformed"),
        ("[concat('a',]", "malformed"),
        ("['a' 'b']", "malformed"),
        ("[nonsense('a')]", "is not known here"),
        ("[parameters('none')]", "no parameter"),
        ("[variables('none')]", "no variable"),
        ("[" + "concat(" * 80 + "'a'" + ")" * 80 + "]", "nested too deeply"),
        ("[" + "'a'" * 10_000 + "]", "characters"),
        ("[createObject('a', 1).b]", "no member"),
        ("[div(1, 0)]", "divided by 0"),
        ("[substring('a', 5)]", "beyond"),
        ("[toLower()]", "too few"),
        ("[toLower(1)]", "a text belongs here"),
        ("[if('x', 1, 2)]", "true or false"),
        ("[resourceId('a')]", "takes a type"),
        ("[resourceId('A.B/c/d', 'e')]", "asks for 2 names"),
        ("[copyIndex()]", "no copy loop"),
        ("[mul(9223372036854775807, 9223372036854775807)]", "too large"),
        ("[range(0, 1000000)]", "at most"),
        ("[fail('stop')]", "stop"),
    ],
)
def test_what_is_wrong_is_told_once_and_unknown(text: str, words: str) -> None:
    value, problems = told(text)
    assert value is UNKNOWN
    assert len(problems) == 1
    assert words in problems[0]


def test_variables_that_refer_to_each_other_are_told() -> None:
    loop = {"a": "[variables('b')]", "b": "[variables('a')]"}
    value, problems = told("[variables('a')]", variables=loop)
    assert value is UNKNOWN
    assert problems == ["the variable 'a' refers to itself"]


def test_a_variable_that_grows_without_end_is_told() -> None:
    grow = {
        f"v{n}": f"[concat(variables('v{n - 1}'), variables('v{n - 1}'))]" for n in range(1, 60)
    }
    value, problems = told("[variables('v59')]", variables={**grow, "v0": "0123456789"})
    assert value is UNKNOWN
    assert problems == ["the value is too large"]


def test_parameters_come_from_the_file_or_the_default() -> None:
    declared = {
        "one": {"type": "string", "defaultValue": "[concat('a', 'b')]"},
        "two": {"type": "string"},
        "secret": {"type": "secureString", "defaultValue": "hidden"},
    }
    for name, value in (("one", "ab"), ("TWO", "given"), ("secret", UNKNOWN)):
        found, problems = told(
            f"[parameters('{name}')]", parameters=declared, given={"Two": "given"}
        )
        assert (found, problems) == (value, [])
    assert told("x", parameters=declared, given={"three": 1})[1] == [
        "the template has no parameter 'three'"
    ]


def template(*resources: object, **more: object) -> dict[str, Any]:
    return {"contentVersion": "1.0.0.0", "resources": list(resources), **more}


def unfolded(
    content: dict[str, Any], where: Deployment = WHERE
) -> tuple[list[dict[str, object]], list[str]]:
    problems = Problems()
    found = [each.content for each in unfold(content, {}, where, problems)]
    return found, [each.text for each in problems.found]


DISK = {"type": "Microsoft.Compute/disks", "name": "d", "properties": {}}


def test_copies_conditions_and_children_are_unfolded() -> None:
    found, problems = unfolded(
        template(
            {**DISK, "name": "[concat('d', copyIndex(1))]", "copy": {"name": "loop", "count": 3}},
            {**DISK, "name": "never", "condition": "[equals(1, 2)]"},
            {**DISK, "name": "perhaps", "condition": "[empty(reference('x'))]"},
            {
                "type": "Microsoft.Compute/virtualMachines",
                "name": "vm",
                "properties": {
                    "copy": [{"name": "disks", "count": 2, "input": "[copyIndex('disks')]"}]
                },
                "resources": [{"type": "extensions", "name": "e", "properties": {}}],
            },
        )
    )
    assert problems == []
    names = [each["name"] for each in found]
    assert names == ["d1", "d2", "d3", "perhaps", "vm", "vm/e"]
    assert found[4]["properties"] == {"disks": [0, 1]}
    assert found[5]["type"] == "Microsoft.Compute/virtualMachines/extensions"
    assert str(found[5]["id"]).endswith("/virtualMachines/vm/extensions/e")


@pytest.mark.parametrize("scope", ["inner", "outer"])
def test_nested_deployments_have_their_own_names_or_those_around(scope: str) -> None:
    inner = template(
        {**DISK, "name": "[parameters('name')]", "location": "[resourceGroup().location]"},
        parameters={"name": {"type": "string"}},
    )
    found, problems = unfolded(
        template(
            {
                "type": "Microsoft.Resources/deployments",
                "name": "nested",
                "resourceGroup": "elsewhere",
                "properties": {
                    "expressionEvaluationOptions": {"scope": scope},
                    "parameters": {"name": {"value": "from-inside"}},
                    "template": inner,
                },
            },
            parameters={"name": {"type": "string", "defaultValue": "from-outside"}},
        )
    )
    assert problems == []
    assert found[0]["name"] == ("from-inside" if scope == "inner" else "from-outside")
    assert found[0]["location"] is UNKNOWN
    assert "/resourceGroups/elsewhere/" in str(found[0]["id"])


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ("x", "a resource is an object"),
        ({"name": "x"}, "has a type"),
        ({**DISK, "name": 7}, "has a name"),
        ({**DISK, "name": "a/b"}, "asks for 1 names"),
        ({**DISK, "copy": {"name": "x", "count": 100_000}}, "count from 0 to 800"),
        (
            {"type": "Microsoft.Resources/deployments", "name": "x", "properties": {}},
            "stands elsewhere",
        ),
        ({**DISK, "dependsOn": ["d"]}, "depend on each other"),
    ],
)
def test_what_is_wrong_with_a_resource_is_told(resource: object, words: str) -> None:
    _, problems = unfolded(template(resource))
    assert len(problems) == 1
    assert words in problems[0]


def test_a_template_that_unfolds_to_too_much_is_refused() -> None:
    many = {"name": "m", "count": 800}
    inner = {"a": [{"copy": [{"name": "n", "count": 800, "input": {"b": [1, 2, 3, 4]}}]}]}
    with pytest.raises(TooMuchError):
        unfolded(template({**DISK, "copy": many, "properties": inner}))


def test_ids_of_one_deployment_are_equal_and_of_two_are_not_compared() -> None:
    here, there = Deployment("here"), Deployment("there")
    text = "[resourceId('A.B/c', 'd')]"
    assert told(text, here)[0] == told(text, here)[0]
    assert told(text, here)[0] != told(text, there)[0]
    compare = "[equals(resourceId('A.B/c', 'd'), '/subscriptions/s/resourceGroups/g')]"
    assert told(compare, here) == (UNKNOWN, [])


@given(st.text(alphabet="[]()'.,?abcif0 1-{}", max_size=40))
def test_no_text_is_too_odd(text: str) -> None:
    _, problems = told(f"[{text}]")
    assert len(problems) <= 1


ODD = ["'a'", "'a/b'", "1", "createArray()", "createObject()", "null()", "resourceGroup()"]
NAMES = sorted({*FUNCTIONS, *RESOURCE_FUNCTIONS, "and", "or", "not", "coalesce", "copyIndex", "if"})


@pytest.mark.parametrize("name", [*NAMES, "parameters", "variables"])
def test_no_function_is_brought_down_by_what_it_is_given(name: str) -> None:
    given = ["", *ODD, *(f"{each}, 1" for each in ODD), *(f"'a', {each}" for each in ODD)]
    given += [f"{each}, {each}, {each}" for each in ODD]
    variables = {f"v{number}": f"[{name}({each})]" for number, each in enumerate(given)}
    problems = Problems()
    unfold({"variables": variables, "resources": []}, {}, Deployment(""), problems)
    assert all(each.pointer.startswith("/variables/") for each in problems.found)
