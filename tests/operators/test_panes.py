"""What a closed pane holds."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.panes import Chunk, make_chunk

_occurrences = st.lists(
    st.tuples(st.sampled_from("abcde"), st.integers(0, 20), st.integers(0, 6)), min_size=1, max_size=80
)


def _chunk(occurrences: list[tuple[str, int, int]], pane: int = 7) -> Chunk:
    tags = [tag for tag, _, _ in occurrences]
    posts = np.array([post for _, post, _ in occurrences], dtype=np.uint64)
    authors = np.array([author for _, _, author in occurrences], dtype=np.uint32)
    return make_chunk(pane, 0, tags, posts, authors, with_authors=True)


@given(_occurrences)
def test_a_post_counts_once_for_a_tag_and_an_author_too(occurrences: list[tuple[str, int, int]]) -> None:
    # A post has one author: the first that it came with.
    author_of: dict[int, int] = {}
    occurrences = [(tag, post, author_of.setdefault(post, author)) for tag, post, author in occurrences]
    posts: dict[str, set[int]] = defaultdict(set)
    authors: dict[str, set[int]] = defaultdict(set)
    for tag, post, author in occurrences:
        posts[tag].add(post)
        authors[tag].add(author)
    chunk = _chunk(occurrences)
    counted = zip(chunk.tags, chunk.counts.tolist(), chunk.author_counts.tolist(), strict=True)
    assert {tag: (count, people) for tag, count, people in counted} == {
        tag: (len(posts[tag]), len(authors[tag])) for tag in posts
    }
    assert len(chunk.posts_of) == sum(map(len, posts.values()))


@given(_occurrences)
def test_recovery_gives_the_same_chunk_back(occurrences: list[tuple[str, int, int]]) -> None:
    chunk = _chunk(occurrences)
    again = Chunk.decode(chunk.encode())
    assert (again.pane, again.number, again.tags) == (chunk.pane, chunk.number, chunk.tags)
    for column in ("counts", "tag_of", "posts_of", "author_counts", "author_tag", "authors"):
        assert np.array_equal(getattr(again, column), getattr(chunk, column))


def test_a_loud_pane_keeps_its_smallest_author_hashes_and_their_full_number() -> None:
    chunk = _chunk([("a", post, post * 3) for post in range(1_000)] + [("b", 1, 1)])
    assert dict(zip(chunk.tags, chunk.author_counts.tolist(), strict=True)) == {"a": 1_000, "b": 1}
    kept = chunk.authors[chunk.author_tag == chunk.tags.index("a")]
    assert kept.tolist() == [post * 3 for post in range(256)]
