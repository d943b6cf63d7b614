"""Cutting long comments apart and joining short ones: nothing is lost, everything fits, keys stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quell.sync.remarks import (
    BETWEEN,
    HEADER,
    copy_key,
    copy_parts,
    fitting,
    joined,
    keys_in,
    signed,
    units,
)

words = st.text(alphabet=st.characters(blacklist_categories=("Cc", "Cs", "Cf")), max_size=4000)
#: emoji and accents, spaces and newlines, close together
dense = st.text(alphabet="a \n😀é", max_size=3000)
limits = st.integers(min_value=700, max_value=2000)


@given(text=words | dense, limit=limits)
def test_all_pieces_of_a_comment_together_are_the_comment(text: str, limit: int) -> None:
    pieces = copy_parts(text, limit)

    assert "".join("".join(pieces).split()) == "".join(text.split())


@given(text=words | dense, limit=limits)
def test_each_piece_fits_with_room_for_who_wrote_it(text: str, limit: int) -> None:
    pieces = copy_parts(text, limit)

    assert all(units(piece) <= limit - HEADER for piece in pieces)


@given(text=dense)
def test_an_emoji_counts_twice_as_products_count(text: str) -> None:
    assert units(text) == len(text) + text.count("😀")


@given(texts=st.lists(words, min_size=1, max_size=12), taken=st.integers(0, 500), limit=limits)
def test_what_fits_fits_and_one_more_would_not(texts: list[str], taken: int, limit: int) -> None:
    count = fitting(texts, taken, limit)

    def size(number: int) -> int:
        between = len(BETWEEN) * (number if taken else number - 1)
        return taken + sum(units(text) for text in texts[:number]) + max(between, 0)

    assert count == 0 or size(count) <= limit
    assert count == len(texts) or size(count + 1) > limit


@given(bodies=st.lists(words, min_size=1, max_size=8))
def test_a_shared_comment_shows_every_text_and_every_key(bodies: list[str]) -> None:
    # given
    keys = [copy_key(b"secret", str(number)) for number in range(len(bodies))]
    texts = [signed(key, "", body) for key, body in zip(keys, bodies, strict=True)]

    # when
    whole = joined(texts)

    # then
    assert set(keys) <= keys_in(whole)
    assert all(text in whole for text in texts)
    assert [whole.index(f"[quell {key}]") for key in keys] == sorted(
        whole.index(f"[quell {key}]") for key in keys
    )


@given(bodies=st.lists(dense, min_size=1, max_size=40), limit=limits)
def test_joining_page_by_page_shows_each_text_once(bodies: list[str], limit: int) -> None:
    # given
    pieces = [piece for body in bodies for piece in copy_parts(body, limit)]
    texts = [
        signed(copy_key(b"secret", str(n)), "somebody wrote:", piece)
        for n, piece in enumerate(pieces)
    ]

    # when
    rest, pages = list(texts), list[str]()
    while rest:
        count = fitting(rest, 0, limit)
        pages.append(joined(rest[:count]))
        rest = rest[count:]
        assert count > 0

    # then
    assert all(units(page) <= limit for page in pages)
    assert BETWEEN.join(pages) == joined(texts)
