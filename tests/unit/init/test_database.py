"""Recognising a password by Postgres' own verifier."""

from __future__ import annotations

import pytest

from smartshelf.init.database import is_password

# RFC 7677, section 3: user "user", password "pencil"; the keys as pg_authid keeps them.
PENCIL = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_the_right_password_is_recognised() -> None:
    assert is_password("pencil", PENCIL)


@pytest.mark.parametrize("password", ["Pencil", "pencil ", ""])
def test_another_password_is_not(password: str) -> None:
    assert not is_password(password, PENCIL)


@pytest.mark.parametrize("verifier", [None, "", "md5c4ca4238a0b923820dcc509a6f75849b"])
def test_a_role_without_password_or_with_an_old_hash_has_none_of_ours(verifier: str | None) -> None:
    assert not is_password("pencil", verifier)
