"""URLs of stores: what names one, and that none holds a password."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError
from keyhier.records.url import RecordsUrl


@pytest.mark.parametrize(
    ("text", "path", "timeout"),
    [
        ("sqlite:/var/a.db", "/var/a.db", 10.0),
        ("SQLite:a.db", "a.db", 10.0),
        ("sqlite:///var/a.db", "/var/a.db", 10.0),
        ("sqlite:////var/a.db", "/var/a.db", 10.0),
        ("sqlite:/a%20b?timeout=0.5", "/a b", 0.5),
    ],
)
def test_a_file_names_a_store(text: str, path: str, timeout: float) -> None:
    url = RecordsUrl.parse(text)
    assert (url.scheme, url.path, url.timeout) == ("sqlite", Path(path), timeout)
    assert str(url) == text


def test_a_server_names_a_store() -> None:
    url = RecordsUrl.parse(
        "postgresql://me@db.example:5433/keys?sslmode=verify-full&password-source=env:PW"
    )
    assert url.parameters == {
        "host": "db.example",
        "port": "5433",
        "user": "me",
        "dbname": "keys",
        "sslmode": "verify-full",
    }
    assert url.password is not None
    assert url.password.reference == "env:PW"
    assert RecordsUrl.parse("postgres:///keys?host=/run/pg&service=x").parameters == {
        "dbname": "keys",
        "host": "/run/pg",
        "service": "x",
    }


@pytest.mark.parametrize(
    "text",
    [
        *("", "sqlite:", "sqlite::memory:", "sqlite://host/a", "sqlite:/a#b", "sqlite:/a\0"),
        *("sqlite:/a?mode=rwc", "sqlite:/a?timeout=x", "sqlite:/%00", "sqlite:/a%2", "memory:x"),
        *("mysql://h/d", "records.db", "postgresql:", "postgresql:/d", "postgresql://h:x/d"),
        *("postgresql://h/d?options=-c", "postgresql://h/d?host=other", "postgresql://h/d#f"),
        *("postgresql:///d?password-source=|cat", "postgresql:///d?sslmode=a&sslmode=b"),
        *("postgresql://[h/d", "postgresql:///d?password-source=env:A&password-source=env:B"),
        "sqlite:" + "x" * 3000,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        RecordsUrl.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:hunter2@host/db",
        "postgresql://me:hunter2@[host/db",
        "postgresql://me:hunter2/x@host/db",
        "postgresql://me:1/hunter2@host/db",
        "postgresql://me:1?hunter2@host/db",
        "postgresql://me:1?sslmode=hunter2@host/db",
        "postgresql://me:1#hunter2@host/db",
        "postgresql://me:1@hunter2@host/db",
        "postgresql://me:hunter2%2F1@host/db",
        "postgresql://me:1]hunter2@host/db",
        "postgresql:me:hunter2@host/db",
        "postgresql+psycopg://me:hunter2@host/db",
        "sqlite://me:hunter2@host/db",
        "postgresql://host/db?password=hunter2",
        "postgresql://host/db?PassWord=hunter2",
        "postgresql://host/db?sslpassword=hunter2",
        "postgresql://host/db?pass%77ord=hunter2",
    ],
)
def test_promise_7_a_password_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        RecordsUrl.parse(text)
    assert "hunter2" not in repr(raised.value) + str(raised.value)
    assert raised.value.__context__ is None


@given(
    st.text(max_size=60).flatmap(
        lambda rest: st.sampled_from(
            [rest, f"sqlite:{rest}", f"postgresql:{rest}", f"postgresql://{rest}"]
        )
    )
)
def test_any_text_is_a_url_or_invalid_input(text: str) -> None:
    with suppress(InvalidInputError):
        assert str(RecordsUrl.parse(text)) == text
