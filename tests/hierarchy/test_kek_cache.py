"""The cache of open KEKs: bounded by age, uses and count, and wiped."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from keyhier import InvalidStateError, KeyId, UnavailableError
from keyhier.hierarchy.kek_cache import CacheLimits, KekCache, OpenKek
from keyhier.hierarchy.local_kek import LocalKek
from keyhier.secret import SecretBytes


def key(name: str) -> KeyId:
    return KeyId.parse(f"record:keys/{name}/1")


class Opener:
    """Opens KEKs and keeps them in view."""

    def __init__(self) -> None:
        self.opened: list[LocalKek] = []

    def __call__(self, name: str) -> OpenKek:
        with SecretBytes.random(32) as material:
            self.opened.append(LocalKek(key(name), material, None))
        return OpenKek(self.opened[-1], authenticated=True)

    def use(self, cache: KekCache, name: str) -> None:
        with cache.lend(key(name), lambda: self(name)) as lent:
            lent.kek.wrap(b"secret")


def is_wiped(kek: LocalKek) -> bool:
    try:
        kek.wrap(b"secret")
    except InvalidStateError:
        return True
    return False


def test_a_kek_is_opened_once_and_kept() -> None:
    cache, opener = KekCache(CacheLimits()), Opener()
    for _ in range(3):
        opener.use(cache, "a")
    assert len(opener.opened) == 1
    assert key("a") in cache
    cache.clear()
    assert is_wiped(opener.opened[0])
    assert key("a") not in cache


def test_age_ends_it_whoever_is_asked_for() -> None:
    now = [0.0]
    cache, opener = KekCache(CacheLimits(age=10), clock=lambda: now[0]), Opener()
    opener.use(cache, "a")
    now[0] = 9
    opener.use(cache, "a")
    now[0] = 10
    opener.use(cache, "b")
    assert is_wiped(opener.opened[0])
    assert len(cache) == 1


def test_uses_end_it() -> None:
    cache, opener = KekCache(CacheLimits(uses=2)), Opener()
    for _ in range(5):
        opener.use(cache, "a")
    assert [is_wiped(kek) for kek in opener.opened] == [True, True, False]


def test_the_count_ends_the_one_that_was_not_used_for_longest() -> None:
    cache, opener = KekCache(CacheLimits(count=2)), Opener()
    for name in "abac":
        opener.use(cache, name)
    assert [is_wiped(kek) for kek in opener.opened] == [False, True, False]


def test_what_is_in_use_is_wiped_when_its_use_ends() -> None:
    cache, opener = KekCache(CacheLimits()), Opener()
    with cache.lend(key("a"), lambda: opener("a")) as lent:
        cache.forget(key("a").versionless)
        lent.kek.wrap(b"secret")
    assert is_wiped(opener.opened[0])


def test_what_cannot_be_opened_is_tried_again() -> None:
    cache, opener = KekCache(CacheLimits()), Opener()

    def away() -> OpenKek:
        raise UnavailableError("the vault is away")

    with pytest.raises(UnavailableError), cache.lend(key("a"), away):
        pass
    assert len(cache) == 0
    opener.use(cache, "a")


def test_many_threads_open_it_once() -> None:
    cache, opener = KekCache(CacheLimits()), Opener()
    with ExitStack() as stack:
        for _ in range(8):
            thread = threading.Thread(target=opener.use, args=(cache, "a"))
            thread.start()
            stack.callback(thread.join)
    assert len(opener.opened) == 1
    assert not is_wiped(opener.opened[0])


@pytest.mark.parametrize("limits", [{"age": 0}, {"uses": 0}, {"count": 0}])
def test_a_limit_is_a_positive_number(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        CacheLimits(**limits)
