"""Which known entity an observed one is: strong names join, surer ones part, weak ones do neither."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quell.domain.entity import Alias, Device, EntityKind, User
from quell.domain.identity import completed, match
from quell.domain.ids import EntityId

A, B = EntityId("a"), EntityId("b")
NAMES = st.lists(
    st.builds(
        Alias,
        st.sampled_from(["entra_user", "sid", "upn", "account"]),
        st.sampled_from(["1", "2"]),
        st.booleans(),
    ),
    max_size=5,
)


def test_one_shared_strong_name_is_enough() -> None:
    # given
    known = {A: [Alias("upn", "ada"), Alias("sid", "s1")]}

    # when
    found = match(EntityKind.USER, [Alias("upn", "ada")], known)

    # then
    assert found.is_known == A


def test_a_different_object_id_parts_what_shares_a_sign_in_name() -> None:
    # given
    known = {A: [Alias("upn", "ada"), Alias("entra_user", "u1")]}

    # when
    found = match(EntityKind.USER, [Alias("upn", "ada"), Alias("entra_user", "u2")], known)

    # then
    assert found.is_known is None
    assert found.foreign == {Alias("upn", "ada")}


def test_names_of_two_entities_join_them_into_the_older() -> None:
    # given
    known = {A: [Alias("sid", "s1")], B: [Alias("entra_user", "u1")]}

    # when
    found = match(EntityKind.USER, [Alias("sid", "s1"), Alias("entra_user", "u1")], known)

    # then
    assert (found.is_known, found.joined) == (A, (B,))


def test_two_entities_that_disagree_are_not_joined_by_a_third() -> None:
    # given
    known = {
        A: [Alias("sid", "s1"), Alias("entra_user", "u1")],
        B: [Alias("upn", "ada"), Alias("entra_user", "u2")],
    }

    # when
    found = match(EntityKind.USER, [Alias("sid", "s1"), Alias("upn", "ada")], known)

    # then
    assert (found.is_known, found.joined) == (A, ())
    assert found.foreign == {Alias("upn", "ada")}


@given(names=NAMES, first=NAMES, second=NAMES)
def test_an_entity_is_never_known_by_weak_names_alone(
    names: list[Alias], first: list[Alias], second: list[Alias]
) -> None:
    # given
    known = {A: first, B: second}

    # when
    found = match(EntityKind.USER, names, known)

    # then
    strong = {name for name in names if name.is_strong}
    if found.is_known is not None:
        assert strong & set(known[found.is_known])
    assert all(name in strong for name in found.foreign)


def test_what_is_seen_completes_what_is_known_and_takes_nothing_away() -> None:
    # given
    known = Device(mde_id="m1", host_name="old", os="windows")

    # when
    found = completed(known, Device(mde_id="m1", host_name="new", ip="192.0.2.1"))

    # then
    assert found == Device(mde_id="m1", host_name="new", os="windows", ip="192.0.2.1")
    assert completed(User(upn="a"), User()) == User(upn="a")
