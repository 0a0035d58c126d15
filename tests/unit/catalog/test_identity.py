"""Where a database is reached, told without a user or a password."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from retentiond.catalog.identity import address_of


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql+psycopg://me:tiger@db.internal/crm", "db.internal:5432/crm"),
        ("postgresql+psycopg://me:tiger@db.internal:6432/crm?sslmode=verify-full", "db.internal:6432/crm"),
        ("postgresql+psycopg://me:tiger@[2001:db8::1]/crm", "[2001:db8::1]:5432/crm"),
        ("postgresql+psycopg:///crm", "localhost:5432/crm"),
        ("postgresql+psycopg:///crm?host=/run/postgresql", "/run/postgresql/crm"),
        ("postgresql+psycopg:///crm?host=/run/postgresql&port=6432", "/run/postgresql:6432/crm"),
        ("postgresql+psycopg:///crm?host=a&host=b&password=tiger", "a,b:5432/crm"),
        ("mysql+pymysql://me:tiger@db/crm?charset=utf8mb4&ssl_ca=/x", "db:3306/crm"),
        ("mariadb+pymysql://me:tiger@db:3307/crm", "db:3307/crm"),
        ("mysql+pymysql://me:tiger@/crm?unix_socket=/run/mysqld.sock", "/run/mysqld.sock/crm"),
        ("sqlite:////srv/shop.db", "/srv/shop.db"),
    ],
)
def test_an_address_tells_the_place_and_nobodys_name(url: str, expected: str) -> None:
    found = address_of(sa.make_url(url))
    assert found == expected
    assert "tiger" not in found
    assert "me" not in found.split("/")[0]
