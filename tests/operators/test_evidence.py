from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundswell.records import Post
from groundswell.trends import Evidence, Sample
from operators import evidence
from operators.evidence import EvidenceStore
from operators.hashtags import extract

_START = 1_700_000_000.0
_BLOCK = 60.0


def _post(number: int, text: str = "", repost_of: str | None = None) -> Post:
    return Post(str(number), "s", text, datetime.now(UTC), hashtags=extract(text), repost_of=repost_of)


def _key(number: int) -> int:
    return int.from_bytes(blake2b(str(number).encode(), digest_size=8).digest(), "big")


class _Add(msgspec.Struct, frozen=True):
    tag: str
    number: int
    age: float

    def to(self, store: EvidenceStore) -> None:
        text = f"#{self.tag} {self.number} #Tag{self.number % 3}"
        store.add(self.tag, _key(self.number), _START + self.age, _post(self.number, text))


class _Expire(msgspec.Struct, frozen=True):
    age: float

    def to(self, store: EvidenceStore) -> None:
        store.expire(_START + self.age)


class _Forget(msgspec.Struct, frozen=True):
    tag: str

    def to(self, store: EvidenceStore) -> None:
        store.forget(self.tag)


_ADDS = st.builds(_Add, st.sampled_from("abc"), st.integers(0, 50), st.integers(0, 400))
_STEPS = st.lists(
    st.one_of(_ADDS, _ADDS, _ADDS, st.builds(_Expire, st.integers(0, 400)), st.builds(_Forget, st.sampled_from("abc"))),
    max_size=80,
)


def _all_evidence(store: EvidenceStore) -> list[Evidence]:
    return [store.evidence(tag) for tag in "abc"]


def _fed(steps: list[_Add | _Expire | _Forget], samples_per_tag: int, max_samples: int) -> EvidenceStore:
    store = EvidenceStore(samples_per_tag, max_samples, _BLOCK)
    for step in steps:
        step.to(store)
    return store


class TestEvidence:
    def test_says_how_the_tag_is_written_what_comes_with_it_and_shows_posts(self) -> None:
        store = EvidenceStore()
        texts = ["#Boston strong #rain", "in #boston, #BOSTON #rain #sun", "no sign: Boston"]
        for number, text in enumerate(texts):
            store.add("boston", number, _START, _post(number, text))
        assert store.evidence("boston") == Evidence(
            forms={"BOSTON": 1, "Boston": 1, "boston": 1},
            cotags={"rain": 2, "sun": 1},
            samples=tuple(Sample("s", str(number), text) for number, text in enumerate(texts)),
        )

    def test_leaves_reposts_out(self) -> None:
        store = EvidenceStore()
        store.add("rain", 1, _START, _post(1, "RT @a: #rain", repost_of="0"))
        assert store.evidence("rain") == Evidence()
        assert len(store) == 0

    def test_of_an_unknown_or_forgotten_tag_is_empty(self) -> None:
        store = EvidenceStore()
        store.add("rain", 1, _START, _post(1, "#rain"))
        store.forget("rain")
        store.forget("sun")
        assert store.evidence("rain") == store.evidence("sun") == Evidence()
        assert len(store) == 0

    def test_follows_a_later_version_of_a_post(self) -> None:
        store = EvidenceStore()
        store.add("rain", 1, _START, _post(1, "#Rain"))
        assert store.evidence("rain").forms == {"Rain": 1}
        store.add("rain", 1, _START + 900, _post(1, "#RAIN"))
        assert store.evidence("rain").forms == {"RAIN": 1}

    def test_cuts_long_texts_and_long_lists(self) -> None:
        store = EvidenceStore()
        text = " ".join(f"#t{number}" for number in range(100)) + " x" * 1_000
        store.add("t0", 1, _START, _post(1, text))
        found = store.evidence("t0")
        assert found.samples[0].text == text[: evidence.LONGEST_TEXT]
        assert len(found.cotags) == evidence.MOST_TAGS - 1

    def test_names_the_most_frequent_companions(self) -> None:
        store = EvidenceStore()
        for number in range(200):
            store.add("a", number, _START, _post(number, f"#a #common #rare{number:03}"))
        cotags = store.evidence("a").cotags
        assert list(cotags)[:2] == ["common", "rare000"]
        assert (cotags["common"], len(cotags)) == (200, evidence.MOST_COTAGS)

    def test_posts_older_than_the_window_leave_with_their_block(self) -> None:
        """
        block  |   0   |   1   |
        post   | 1   2 |   3   |
                   ^ expire: nothing leaves
                       ^ expire: 1 and 2 leave, and 4, late, does not enter
        """
        store = EvidenceStore(block=100.0)
        for number, time in ((1, 10.0), (2, 90.0), (3, 150.0)):
            store.add("a", number, time, _post(number))
        store.expire(50.0)
        assert len(store) == 3
        store.expire(100.0)
        store.add("a", 4, 95.0, _post(4))
        store.expire(60.0)
        assert [sample.id for sample in store.evidence("a").samples] == ["3"]
        store.expire(200.0)
        assert store.evidence("a") == Evidence()
        assert len(store) == 0


class TestSamples:
    @given(st.data(), st.lists(_ADDS, max_size=60), st.integers(1, 5))
    def test_do_not_depend_on_order_or_repetition(
        self, data: st.DataObject, adds: list[_Add | _Expire | _Forget], k: int
    ) -> None:
        posts = {(add.tag, add.number): add for add in adds if isinstance(add, _Add)}
        once: list[_Add | _Expire | _Forget] = list(posts.values())
        again = data.draw(st.permutations(once + once))
        assert _all_evidence(_fed(again, k, 10_000)) == _all_evidence(_fed(once, k, 10_000))

    @given(st.lists(_ADDS, unique_by=lambda add: add.number, max_size=60), st.integers(1, 5), st.integers(0, 60))
    def test_of_parts_hold_the_sample_of_the_whole(self, adds: list[_Add], k: int, cut: int) -> None:
        whole, one, other = (_fed(list(part), k, 10_000) for part in (adds, adds[:cut], adds[cut:]))
        for tag in "abc":
            parts = one.evidence(tag).samples + other.evidence(tag).samples
            merged = sorted(parts, key=lambda sample: _key(int(sample.id)))[:k]
            assert whole.evidence(tag).samples == tuple(merged)

    @given(_STEPS, st.integers(0, 5), st.integers(0, 12))
    def test_stay_below_both_caps(self, steps: list[_Add | _Expire | _Forget], k: int, most: int) -> None:
        store = EvidenceStore(k, most, _BLOCK)
        for step in steps:
            step.to(store)
            assert len(store) <= most
            assert all(len(found.samples) <= k for found in _all_evidence(store))

    def test_are_given_up_by_silent_tags_before_frequent_ones(self) -> None:
        """
        block    |   0   |   1   |   2   |
        silent   | 8 posts
        quiet                    | 4 posts
        loud                     | 20 posts    at most 24 are held
        """
        store = EvidenceStore(300, 24, _BLOCK)
        start = _START - _START % _BLOCK
        for number in range(8):
            store.add("silent", _key(number), start, _post(number))
        for number in range(4):
            store.add("quiet", _key(number), start + 2 * _BLOCK, _post(number))
        for number in range(20):
            store.add("loud", _key(number), start + 2 * _BLOCK, _post(number))
        assert [len(store.evidence(tag).samples) for tag in ("silent", "quiet", "loud")] == [0, 4, 20]
        store.add("loud", _key(20), start + 2 * _BLOCK, _post(20))
        assert [len(store.evidence(tag).samples) for tag in ("silent", "quiet", "loud")] == [0, 4, 10]


class TestState:
    @given(_STEPS, _STEPS, st.integers(0, 5), st.integers(0, 12))
    def test_goes_on_after_any_step_as_if_nothing_had_happened(
        self, before: list[_Add | _Expire | _Forget], after: list[_Add | _Expire | _Forget], k: int, most: int
    ) -> None:
        undisturbed = _fed(before, k, most)
        resumed = EvidenceStore.restored(_fed(before, k, most).state(), k, most, _BLOCK)
        assert len(resumed) == len(undisturbed)
        assert _all_evidence(resumed) == _all_evidence(undisturbed)
        for step in after:
            step.to(undisturbed)
            step.to(resumed)
            assert len(resumed) == len(undisturbed)
        assert _all_evidence(resumed) == _all_evidence(undisturbed)

    @given(_STEPS)
    def test_is_the_same_whether_it_was_asked_for_before_or_not(self, steps: list[_Add | _Expire | _Forget]) -> None:
        asked = EvidenceStore(3, 10, _BLOCK)
        for step in steps:
            step.to(asked)
            asked.state()
            _all_evidence(asked)
        assert asked.state() == _fed(steps, 3, 10).state()

    @given(_STEPS, st.integers(0, 8), st.integers(0, 12), st.sampled_from([30.0, 60.0, 200.0]))
    def test_serves_other_settings(
        self, steps: list[_Add | _Expire | _Forget], k: int, most: int, block: float
    ) -> None:
        store = _fed(steps, 4, 12)
        resumed = EvidenceStore.restored(store.state(), k, most, block)
        assert len(resumed) <= most
        for before, after in zip(_all_evidence(store), _all_evidence(resumed), strict=True):
            assert after.samples == before.samples[: len(after.samples)]
            if most == 12:
                assert len(after.samples) == min(k, len(before.samples))

    def test_is_made_anew_only_after_a_change(self) -> None:
        store = EvidenceStore()
        store.add("a", 1, _START, _post(1))
        state = store.state()
        store.add("a", 1, _START, _post(1))
        store.forget("unknown")
        store.add("b", 2, _START, _post(2, repost_of="0"))
        assert store.state() is state

    def test_must_be_one(self) -> None:
        with pytest.raises(msgspec.DecodeError):
            EvidenceStore.restored(b"\xc1")


def test_refuses_senseless_arguments() -> None:
    for arguments in ((-1, 1, 1.0), (1, -1, 1.0), (1, 1, 0.0)):
        with pytest.raises(ValueError, match="must"):
            EvidenceStore(*arguments)
