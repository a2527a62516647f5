"""An envelope is bound to its context, its key version and its algorithm (promises 2, 3 and 4)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

import pytest

from keyhier.algorithms import KeyType
from keyhier.audit import AuditEvent
from keyhier.errors import InvalidInputError, UnwrapError
from keyhier.identifiers import KeyId
from keyhier.testing.contract.forgery import (
    assemble,
    compose,
    flips,
    refusal,
    segments,
    with_header,
)
from keyhier.testing.contract.requirements import each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest
from keyhier.vault import Key

__all__ = ["Binding"]

BOUND: Final = {"vm": "web-01", "volume": "Zoë"}
OTHERS: Final[dict[str, Mapping[str, str] | None]] = {
    "none": None,
    "empty": {},
    "missing": {"vm": "web-01"},
    "superfluous": {**BOUND, "tenant": "contoso"},
    "other value": {**BOUND, "vm": "web-02"},
    "other name": {"host": "web-01", "volume": BOUND["volume"]},
    "swapped": {"vm": BOUND["volume"], "volume": "web-01"},
    "other case": {**BOUND, "vm": "WEB-01"},
    "white space": {**BOUND, "vm": "web-01 "},
    "decomposed": {**BOUND, "volume": unicodedata.normalize("NFD", BOUND["volume"])},
}
# Ids of every kind of vault, none of which is the one under test.
ELSEWHERE: Final = (
    "https://contoso.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef",
    "pkcs11:token=keyhier%20contract%20elsewhere;object=kek;id=%01",
    "memory:keyhier-contract-elsewhere/1",
    "record:keyhier-contract-elsewhere/kek/1",
)


def _absent(under_test: VaultUnderTest, key: Key) -> list[KeyId]:
    """Return ids of this vault that no key has: another name, another version."""
    last = "1" if key.version[-1] == "0" else "0"
    return [
        KeyId(key.id.scheme, key.id.vault, under_test.new_name(), key.version),
        KeyId(key.id.scheme, key.id.vault, key.name, key.version[:-1] + last),
    ]


class Binding:
    """What must match for an envelope to open, and that a mismatch tells nothing."""

    @pytest.mark.parametrize("context", OTHERS.values(), ids=OTHERS)
    @pytest.mark.parametrize("family", list(KeyType))
    @needs()
    def test_promise_2_another_context_does_not_open(
        self, under_test: VaultUnderTest, family: KeyType, context: Mapping[str, str] | None
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        wrapped = key.wrap(b"secret", context=BOUND)
        refusal(under_test.vault.unwrap, wrapped, context=context)
        refusal(key.unwrap, wrapped, context=context)

    @each_family()
    def test_promise_2_giving_no_context_means_expecting_none(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        absent: list[dict[str, str] | None] = [None, {}]
        for none in absent:
            wrapped = key.wrap(b"secret", context=none)
            for same in absent:
                with under_test.vault.unwrap(wrapped, context=same) as opened:
                    assert opened == b"secret"
            refusal(under_test.vault.unwrap, wrapped, context=BOUND)

    @each_family()
    def test_promise_2_a_context_that_was_replaced_in_the_header_does_not_open(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        moved = with_header(key.wrap(b"secret", context=BOUND), ctx={"vm": "web-02"})
        refusal(under_test.vault.unwrap, moved, context={"vm": "web-02"})
        bare = with_header(key.wrap(b"secret", context=BOUND), ctx=None)
        refusal(under_test.vault.unwrap, bare)

    @each_family()
    def test_promise_4_an_envelope_that_names_another_vault_does_not_open(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        algorithm = under_test.algorithm_of(family)
        key = under_test.key(algorithm)
        for elsewhere in ELSEWHERE:
            # Wrapped by this very key: only the kid stands against it.
            foreign = compose(key, b"secret", algorithm=algorithm, kid=KeyId.parse(elsewhere))
            refusal(under_test.vault.unwrap, foreign)
            refusal(key.unwrap, foreign)

    @each_family()
    def test_an_envelope_that_names_a_key_which_is_not_there_does_not_open(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        algorithm = under_test.algorithm_of(family)
        key = under_test.key(algorithm)
        for absent in _absent(under_test, key):
            orphan = compose(key, b"secret", algorithm=algorithm, kid=absent)
            refusal(under_test.vault.unwrap, orphan)

    @pytest.mark.parametrize("family", [KeyType.RSA])
    @needs()
    def test_an_rsa_key_opens_nothing_that_carries_another_ones_thumbprint(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        algorithm = under_test.algorithm_of(family)
        key = under_test.key(algorithm)
        thumbprint = under_test.other_key(algorithm).thumbprint
        foreign = compose(key, b"secret", algorithm=algorithm, thumbprint=thumbprint)
        refusal(under_test.vault.unwrap, foreign)

    @each_family()
    def test_a_key_that_moved_opens_its_envelopes_by_an_alias(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        algorithm = under_test.algorithm_of(family)
        key = under_test.key(algorithm)
        old = KeyId.parse(ELSEWHERE[0])
        wrapped = compose(key, b"secret", algorithm=algorithm, kid=old, thumbprint=key.thumbprint)
        with under_test.another_user(aliases={old: key.id}).unwrap(str(wrapped)) as opened:
            assert opened == b"secret"
        wrong = under_test.another_user(aliases={old: under_test.other_key(algorithm).id})
        refusal(wrong.unwrap, wrapped)

    @each_family()
    def test_promise_3_every_failure_looks_the_same(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        algorithm = under_test.algorithm_of(family)
        events: list[AuditEvent] = []
        user = under_test.another_user(audit=events.append)
        key, other = under_test.key(algorithm), under_test.other_key(algorithm)
        wrapped = key.wrap(b"secret", context=BOUND, algorithm=algorithm)
        parts = segments(wrapped)
        damaged = [
            assemble([*parts[:segment], altered, *parts[segment + 1 :]])
            for segment in range(1, len(parts))
            for altered in flips(parts[segment], samples=2)
        ]
        from_other = compose(
            other,
            b"secret",
            algorithm=algorithm,
            kid=key.id,
            context=BOUND,
            thumbprint=key.thumbprint,
        )
        refusal(user.unwrap, wrapped, context={"vm": "web-02"})
        refusal(user.unwrap, from_other, context=BOUND)
        refusal(user.key(other.id).unwrap, wrapped, context=BOUND)
        for altered in damaged:
            refusal(user.unwrap, altered, context=BOUND)
        expected = AuditEvent("unwrap", str(key.id), algorithm, UnwrapError.__name__)
        assert events == [expected] * (3 + len(damaged))

    @pytest.mark.parametrize(
        "context",
        [
            {f"name-{number}": "value" for number in range(17)},
            {"name": 1},
            {1: "value"},
            {"name": "\ud800"},
            ["name"],
            "name",
        ],
        ids=["17 entries", "a number", "a number as name", "a lone surrogate", "a list", "a text"],
    )
    def test_a_malformed_context_is_refused(
        self, under_test: VaultUnderTest, context: object
    ) -> None:
        key = under_test.key(under_test.any_algorithm())
        wrapped = key.wrap(b"secret")
        with pytest.raises(InvalidInputError):
            key.wrap(b"secret", context=context)  # type: ignore[arg-type]  # That is the test.
        with pytest.raises(InvalidInputError):
            under_test.vault.unwrap(wrapped, context=context)  # type: ignore[arg-type]  # As above.
