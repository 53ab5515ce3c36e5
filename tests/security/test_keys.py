"""Keys: their credentials, what makes one invalid, and their scopes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bandit_router.errors import InvalidInput
from bandit_router.security.issue import KeyRequest, issue_key, revoke_key, rotate_key
from bandit_router.security.keys import (
    ApiKey,
    Credential,
    Invalidity,
    NewSecret,
    Scope,
    find_invalidity,
    hash_secret,
    parse_credential,
)

NOW = 1_700_000_000.0


def issue(**changes: object) -> NewSecret:
    request: dict[str, object] = {"name": "ci", "scopes": ["route"], **changes}
    return issue_key(KeyRequest(**request), NOW, "root@host")  # type: ignore[arg-type]


def credential_of(new: NewSecret) -> Credential:
    credential = parse_credential(new.credential)
    assert credential is not None
    return credential


def test_a_credential_has_an_id_and_256_random_bits_and_only_its_hash_is_kept() -> None:
    new = issue()
    form = re.fullmatch(r"br_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", new.credential)
    assert form is not None
    assert form[1] == new.key.id
    assert new.key.secret_hash == hash_secret(form[2])
    assert form[2] not in repr(new.key)
    assert new.key.secret_hash not in repr(new.key)
    assert len({issue().credential for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text",
    ["", "br_", "sk-proj-abc", "br_0123456789ab_short", "br_0123456789AB_" + "a" * 43, "br__" + "a" * 43],
)
def test_another_text_is_no_credential(text: str) -> None:
    assert parse_credential(text) is None


def test_a_credential_is_valid_until_it_expires() -> None:
    new = issue(expires_in_s=60.0)
    assert find_invalidity(new.key, credential_of(new), NOW) is None
    assert find_invalidity(new.key, credential_of(new), NOW + 59.9) is None
    assert find_invalidity(new.key, credential_of(new), NOW + 60.0) is Invalidity.EXPIRED


def test_an_unknown_key_and_a_wrong_secret_look_alike() -> None:
    one, other = issue(), issue()
    forged = Credential(one.key.id, credential_of(other).secret_hash)
    assert find_invalidity(one.key, forged, NOW) is Invalidity.UNKNOWN
    assert find_invalidity(None, credential_of(one), NOW) is Invalidity.UNKNOWN
    revoked = revoke_key(one.key, NOW)
    assert find_invalidity(revoked, forged, NOW) is Invalidity.UNKNOWN
    assert find_invalidity(revoked, credential_of(one), NOW) is Invalidity.REVOKED


@pytest.mark.parametrize(("grace_s", "valid"), [(0.0, False), (3600.0, True)])
def test_the_old_secret_is_valid_for_the_grace_only(grace_s: float, valid: bool) -> None:
    old = issue()
    new = rotate_key(old.key, NOW + 1.0, grace_s)
    assert new.key.id == old.key.id
    assert find_invalidity(new.key, credential_of(new), NOW + 2.0) is None
    assert (find_invalidity(new.key, credential_of(old), NOW + 2.0) is None) is valid
    assert find_invalidity(new.key, credential_of(old), NOW + 1.0 + grace_s) is Invalidity.UNKNOWN
    assert find_invalidity(revoke_key(new.key, NOW), credential_of(old), NOW + 2.0) is Invalidity.UNKNOWN


def test_admin_includes_every_scope_and_no_other_does() -> None:
    assert all(issue(scopes=["admin"]).key.allows(scope) for scope in Scope)
    for scope in (Scope.ROUTE, Scope.FEEDBACK, Scope.READ):
        key = issue(scopes=[scope.value]).key
        assert [other for other in Scope if key.allows(other)] == [scope]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"scopes": []}, "scope"),
        ({"scopes": ["write"]}, "scope"),
        ({"arms": []}, "arm"),
        ({"usd_per_day": 0.0}, "usd_per_day"),
        ({"requests_per_second": 0.0}, "requests_per_second"),
        ({"requests_per_second": float("nan")}, "requests_per_second"),
        ({"requests_per_second": 1.0, "burst": 0}, "burst"),
        ({"burst": 3}, "burst"),
        ({"expires_in_s": 0.5}, "expires"),
    ],
)
def test_a_wrong_wish_is_refused_and_named(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        issue(**wrong)
    assert refused.value.field == field


def test_the_burst_is_that_of_a_second_unless_it_is_given() -> None:
    assert issue().key.burst is None
    assert issue(requests_per_second=0.2).key.burst == 1
    assert issue(requests_per_second=7.5).key.burst == 8
    assert issue(requests_per_second=7.5, burst=2).key.burst == 2


@pytest.mark.parametrize("gone", [{"revoked_at": NOW}, {"expires_at": NOW}])
def test_a_key_that_is_gone_gets_no_new_secret(gone: dict[str, float]) -> None:
    key: ApiKey = replace(issue().key, **gone)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="create another one"):
        rotate_key(key, NOW)


def test_a_key_is_revoked_once() -> None:
    revoked = revoke_key(issue().key, NOW)
    with pytest.raises(InvalidInput, match="already"):
        revoke_key(revoked, NOW)
