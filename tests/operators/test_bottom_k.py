from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from operators.bottom_k import HeldPost, SlidingSample


def _post(block: int, key: int, text: str = "") -> HeldPost:
    return HeldPost(block, key, "s", str(key), text, ())


_POSTS = st.lists(st.builds(_post, st.integers(0, 6), st.integers(0, 40), st.sampled_from("ab")), max_size=60)
_K = st.integers(1, 5)


def _taken(posts: list[HeldPost], k: int) -> SlidingSample:
    sample = SlidingSample(k)
    for post in posts:
        if sample.wants(post.block, post.key):
            sample.take(post)
    return sample


def _smallest(posts: list[HeldPost], k: int, first_block: int = 0) -> list[HeldPost]:
    """The oracle: the newest version of each post, then the k smallest keys."""
    newest = {post.key: post for post in sorted(posts) if post.block >= first_block}
    return [newest[key] for key in sorted(newest)[:k]]


@given(_POSTS, _K, st.integers(0, 7))
def test_is_the_bottom_k_of_whatever_window(posts: list[HeldPost], k: int, first_block: int) -> None:
    sample = _taken(posts, k)
    assert sample.sample() == _smallest(posts, k)
    sample.expire(first_block)
    assert sample.sample() == _smallest(posts, k, first_block)


@given(st.data(), _POSTS, _K)
def test_what_is_held_depends_neither_on_order_nor_on_repetition(
    data: st.DataObject, posts: list[HeldPost], k: int
) -> None:
    again = data.draw(st.permutations(posts + data.draw(st.lists(st.sampled_from(posts)) if posts else st.just([]))))
    assert _taken(again, k).held == _taken(posts, k).held


@given(_POSTS, _K)
def test_holds_only_what_may_yet_come_into_the_sample(posts: list[HeldPost], k: int) -> None:
    needed = {post for first_block in range(8) for post in _smallest(posts, k, first_block)}
    assert set(_taken(posts, k).held.values()) == needed


@given(_POSTS, _POSTS, _K)
def test_the_sample_of_a_union_lies_in_the_union_of_the_samples(
    one: list[HeldPost], other: list[HeldPost], k: int
) -> None:
    parts = _taken(one, k).sample() + _taken(other, k).sample()
    assert _smallest(parts, k) == _taken(one + other, k).sample()


@given(_POSTS, _POSTS, _K, st.integers(0, 7))
def test_after_giving_up_half_it_is_all_posts_up_to_some_key(
    before: list[HeldPost], after: list[HeldPost], k: int, first_block: int
) -> None:
    sample = _taken(before, k)
    if sample.held:
        sample.halve()
    for post in after:
        if sample.wants(post.block, post.key):
            sample.take(post)
    sample.expire(first_block)
    found = sample.sample()
    assert found == _smallest(before + after, k, first_block)[: len(found)]


def test_grows_again_once_the_blocks_left_in_which_it_was_cut() -> None:
    """
    block   0         | 1
    keys    1 2 3 4 5 | 6 7 8 9      k = 4
            held: 1 2 3 4; halved: 1 2; then all of block 1 is held, but 6 and more
            are unknown of block 0 ---^ until it leaves
    """
    sample = _taken([_post(0, key) for key in range(1, 6)], 4)
    sample.halve()
    assert list(sample.held) == [1, 2]
    assert not sample.wants(0, 3)
    for key in range(6, 10):
        assert sample.wants(1, key)
        sample.take(_post(1, key))
    assert [post.key for post in sample.sample()] == [1, 2]
    sample.expire(1)
    assert [post.key for post in sample.sample()] == [6, 7, 8, 9]


@given(_POSTS, _POSTS, _K, _K, st.sampled_from([0.5, 1.0, 3.0]), st.integers(0, 20))
def test_a_sample_that_is_cut_anew_is_all_posts_up_to_some_key(
    before: list[HeldPost], after: list[HeldPost], k: int, new_k: int, scale: float, first_block: int
) -> None:
    sample = _taken(before, k).recut(new_k, scale)
    newest = _smallest(before, len(before))
    moved = [HeldPost(int(post.block * scale), post.key, "s", post.id, post.text, ()) for post in newest]
    for post in after:
        if sample.wants(post.block, post.key):
            sample.take(post)
    assert len(sample.sample()) <= new_k
    assert sample.sample() == _smallest(moved + after, new_k)[: len(sample.sample())]
    sample.expire(first_block)
    assert sample.sample() == _smallest(moved + after, new_k, first_block)[: len(sample.sample())]


def test_a_frequent_tag_holds_little_more_than_its_sample() -> None:
    keys = [(number * 2_654_435_761) % 2**32 for number in range(12_000)]
    sample = _taken([_post(number // 2_000, key) for number, key in enumerate(keys)], 100)
    assert len(sample.sample()) == 100
    assert 200 < len(sample.held) < 300  # expected: 245
