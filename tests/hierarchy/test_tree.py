"""The tree of keys."""

from __future__ import annotations

import attrs
import pytest

from keyhier import Hierarchy, KeyId, KeyReference, NotFoundError, Vault
from keyhier.cli.tree_graphs import as_dot, as_mermaid, summary
from keyhier.hierarchy.context import context_for
from keyhier.hierarchy.volume import Volume
from keyhier.records import KeyState, RecordState
from keyhier.records.sql.store import SqlRecords
from keyhier.secret import SecretBytes
from tests.hierarchy.conftest import SECRET, WEB


def test_it_shows_what_lies_under_what(
    hierarchy: Hierarchy, vault: Vault, store: SqlRecords
) -> None:
    upper = hierarchy.create_kek("upper", under="aes")
    lower = hierarchy.create_kek("lower", under="upper")
    for number in range(3):
        hierarchy.protect(Volume(f"vm-{number}", "C:"), SECRET, under="lower")
    hierarchy.sets.create("web", KeyReference.following("memory:cmk"))
    hierarchy.protect(attrs.evolve(WEB, set="web"), SECRET)
    aes, cmk = hierarchy.tree()
    assert (aes.key, aes.state, aes.count) == (vault.key("aes").id, "in use", 0)
    [below] = aes.children
    [last] = below.children
    assert (below.key, last.key, last.count) == (upper.id, lower.id, 3)
    assert (cmk.volumes, cmk.sets) == ({"web": 1}, ("web",))
    assert summary(cmk) == "in use; 1 volume key (web 1); used by the set web"
    assert summary(last) == "in use; 3 volume keys"
    assert cmk.as_dict()["volumes"] == {"web": 1}
    for drawn in (as_mermaid([aes, cmk]), as_dot([aes, cmk])):
        assert all(str(key) in drawn for key in (upper.id, lower.id, cmk.key))
        assert drawn.count("->") + drawn.count("-->") >= 2
    store.key_marks.mark(cmk.key, KeyState.RETIRING)
    store.replace(attrs.evolve(upper.record, state=RecordState.RETIRED))
    vault.key("aes").disable()
    aes, cmk = hierarchy.tree()
    assert [aes.state, aes.children[0].state, cmk.state] == ["disabled", "retired", "retiring"]
    vault.key("aes").delete(confirm="aes")
    assert "soft-deleted" in hierarchy.tree()[0].state
    vault.purge_key("aes", confirm="aes")
    assert hierarchy.tree()[0].state == "missing"


def test_a_key_of_a_vault_that_is_not_open_is_not_called_missing(
    hierarchy: Hierarchy, store: SqlRecords, softhsm_vault: Vault
) -> None:
    hierarchy.protect(WEB, SECRET, under="cmk")
    with Hierarchy(softhsm_vault, store) as elsewhere:
        [node] = elsewhere.tree()
        assert node.state == "vault not open"
        with pytest.raises(NotFoundError, match="none of the vaults that are open"):
            elsewhere.recover(WEB)
    with pytest.raises(NotFoundError, match="no memory:cmk/1 in its vault"):
        hierarchy.protect(Volume("db-01", "C:"), SECRET, under="memory:cmk/1")


def test_labels_draw_nothing() -> None:
    from keyhier.hierarchy.tree import Node  # noqa: PLC0415  # Only this test makes one.

    odd = Node(KeyId("pkcs11", 'a"]; x', "<b>&", "01"), 'a\\"', {}, (), ())
    assert '"]; x' not in as_mermaid([odd]).replace("%22%5D", "")
    assert '\\\\\\"' in as_dot([odd])


def test_records_in_a_circle_and_without_a_key_are_shown(
    hierarchy: Hierarchy, store: SqlRecords
) -> None:
    upper = hierarchy.create_kek("upper", under="aes")
    lower = hierarchy.create_kek("lower", under="upper")
    with SecretBytes.random(32) as material:
        context = context_for(upper.record.id, names=upper.id)
        circle = hierarchy.keyring.use(lower.id).wrap(material, context=context)
    changed = store.replace(upper.record.with_envelope(circle))
    assert {node.key for tree in hierarchy.tree() for node in tree.walk()} == {upper.id, lower.id}
    store.delete(changed)
    [orphan] = hierarchy.tree()
    assert (orphan.key, orphan.state) == (upper.id, "missing")
    store.delete(lower.record)
    assert hierarchy.tree() == ()
