"""From texts to rows of tokens: against the tokenizer's own cutting, by hand-worked windows, and for any text."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from groundswell.errors import ModelError
from inference.manifest import Tensor, Tokens
from inference.normalise import social
from inference.rows import Encoded
from inference.tokens import CHARACTERS_PER_TOKEN, TokenEncoder, TokenRow
from tests.inference.odd_texts import ODD_TEXTS
from tests.inference.tiny_bert import VOCABULARY, TinyBert, tiny_tokenizer

INPUTS = TinyBert().inputs
SINGLE = Tokens(max_length=10, overlap=2, max_windows=3, normaliser="social")
PAIRS = Tokens(max_length=12, pairs=True, normaliser="social")
WORDS = st.sampled_from(["good", "bad", "day", "rain", "xyz", "é", "@a", "http://x", "!", "[SEP]", "\ud83d", "今日"])
TEXTS = st.one_of(st.text(st.characters(), max_size=80), st.lists(WORDS, max_size=40).map(" ".join))

PAD, CLS, SEP = (VOCABULARY[name] for name in ("[PAD]", "[CLS]", "[SEP]"))


def encoder(tokens: Tokens = SINGLE, inputs: Sequence[Tensor] = INPUTS) -> TokenEncoder:
    return TokenEncoder(tiny_tokenizer().to_str().encode(), tokens, inputs)


def ids(row: object) -> list[int]:
    assert isinstance(row, TokenRow)
    found: list[int] = np.frombuffer(row.ids, dtype=np.int32).tolist()
    assert len(found) == row.size
    return found


def plain() -> Tokenizer:
    tokenizer = tiny_tokenizer()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def word(*names: str) -> list[int]:
    return [VOCABULARY[name] for name in names]


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=5))
def test_windows_are_those_that_the_tokenizer_itself_would_cut(texts: list[str]) -> None:
    oracle = plain()
    oracle.enable_truncation(SINGLE.max_length, stride=SINGLE.overlap)
    for text, found in zip(texts, encoder().encode(texts), strict=True):
        whole = oracle.encode(social(text))
        wanted = [whole.ids, *(more.ids for more in whole.overflowing)]
        assert [ids(row) for row in found.rows] == wanted[: SINGLE.max_windows]
        assert found.truncated == (len(wanted) > SINGLE.max_windows)
        assert sum(found.weights) == pytest.approx(1)


def test_a_window_weighs_by_the_tokens_that_it_alone_adds() -> None:
    # Ten tokens hold eight words. Of 17 words:
    #   0 1 2 3 4 5 6 7
    #               6 7 8 9 10 11 12 13
    #                              12 13 14 15 16
    text = " ".join(["good"] * 6 + ["bad"] * 6 + ["day"] * 5)
    (found,) = encoder().encode([text])
    assert [ids(row) for row in found.rows] == [
        [CLS, *word(*["good"] * 6, *["bad"] * 2), SEP],
        [CLS, *word(*["bad"] * 6, *["day"] * 2), SEP],
        [CLS, *word(*["day"] * 5), SEP],
    ]
    assert found.weights == pytest.approx([8 / 17, 6 / 17, 3 / 17])
    assert not found.truncated
    # Of 21 words the last is not read.
    (longer,) = encoder().encode([text + " day" * 4])
    assert ids(longer.rows[2]) == [CLS, *word(*["day"] * 8), SEP]
    assert longer.weights == pytest.approx([8 / 20, 6 / 20, 6 / 20])
    assert longer.truncated


def test_a_text_that_just_fits_is_one_window() -> None:
    whole, more = encoder().encode(["good " * 8, "good " * 9])
    assert [[row.size for row in found.rows] for found in (whole, more)] == [[10], [10, 5]]
    assert more.weights == pytest.approx([8 / 9, 1 / 9])


def test_nothing_becomes_one_row_of_special_tokens() -> None:
    for text in ("", " \n", "\u202e"):
        (found,) = encoder().encode([text])
        assert [ids(row) for row in found.rows] == [[CLS, SEP]]
        assert not found.truncated
    assert encoder().encode([]) == []


def test_special_tokens_in_a_text_are_words() -> None:
    (found,) = encoder().encode(["[SEP]"])
    assert SEP not in ids(found.rows[0])[1:-1]


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
@pytest.mark.parametrize("normaliser", ["none", "social"])
def test_odd_texts_become_few_rows(normaliser: str, text: str) -> None:
    tokens = Tokens(max_length=10, overlap=2, max_windows=3, normaliser="social" if normaliser == "social" else "none")
    (found,) = encoder(tokens).encode([text])
    assert 1 <= len(found.rows) <= 3
    assert all(2 <= row.size <= 10 for row in found.rows)
    if len(text) >= 1_000_000:
        assert found.truncated


def test_what_is_looked_at_is_bounded_before_anything_else() -> None:
    limit = CHARACTERS_PER_TOKEN * (8 + 6 + 6)
    (found,) = encoder().encode([" " * limit + "good"])
    assert ([ids(row) for row in found.rows], found.truncated) == ([[CLS, SEP]], True)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_of_a_pair_the_premise_is_cut(premise: str, hypothesis: str) -> None:
    oracle = plain()
    first, second = (oracle.encode(social(text), add_special_tokens=False).ids for text in (premise, hypothesis))
    (found,) = encoder(PAIRS).encode([(premise, hypothesis)])
    (row,) = found.rows
    kept = second[:4]  # half of the nine places beside [CLS], [SEP] and [SEP]
    cut = first[: 9 - len(kept)]
    assert ids(row) == [CLS, *cut, SEP, *kept, SEP]
    assert found.truncated == (cut != first or kept != second)
    arrays = encoder(PAIRS).collate([row], 12)
    types = [0] * (len(cut) + 2) + [1] * (len(kept) + 1)
    assert arrays["token_type_ids"].tolist() == [types + [0] * (12 - len(types))]


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_pairs_are_bounded(text: str) -> None:
    for found in encoder(PAIRS).encode([(text, "good"), ("good", text), (text, text)]):
        assert [row.size for row in found.rows] <= [12]


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.integers(0, 7))
def test_rows_are_padded_to_exactly_the_length(texts: list[str], more: int) -> None:
    rows = [row for text in encoder().encode(texts) for row in text.rows]
    length = max(row.size for row in rows) + more
    arrays = encoder().collate(rows, length)
    assert list(arrays) == ["input_ids", "attention_mask", "token_type_ids"]
    assert all(value.shape == (len(rows), length) and value.dtype == np.int64 for value in arrays.values())
    for at, row in enumerate(rows):
        rest = [0] * (length - row.size)
        assert arrays["input_ids"][at].tolist() == ids(row) + rest
        assert arrays["attention_mask"][at].tolist() == [1] * row.size + rest
    assert not arrays["token_type_ids"].any()


def roberta() -> Tokenizer:
    """As RoBERTa has it: other special tokens, two between a pair, padding that is not 0, and one kind of token."""
    names = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "good": 4, "day": 5, "a": 6}
    tokenizer = Tokenizer(models.WordLevel(names, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return tokenizer


def test_other_special_tokens_padding_and_inputs() -> None:
    inputs = [Tensor(name=name, dtype="int32", shape=("rows", "length")) for name in ("attention_mask", "input_ids")]
    single = TokenEncoder(roberta().to_str().encode(), Tokens(max_length=8), inputs)
    arrays = single.collate([text.rows[0] for text in single.encode(["good day", "", "what"])], 5)
    assert {name: value.tolist() for name, value in arrays.items()} == {
        "attention_mask": [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]],
        "input_ids": [[0, 4, 5, 2, 1], [0, 2, 1, 1, 1], [0, 3, 2, 1, 1]],
    }
    assert all(value.dtype == np.int32 for value in arrays.values())
    pair = TokenEncoder(roberta().to_str().encode(), Tokens(max_length=9, pairs=True), INPUTS)
    arrays = pair.collate([pair.encode([("good", "day")])[0].rows[0]], 7)
    assert arrays["input_ids"].tolist() == [[0, 4, 2, 2, 5, 2, 1]]
    assert not arrays["token_type_ids"].any()


def test_pairs_and_single_texts_are_not_mixed_up() -> None:
    with pytest.raises(ModelError, match="reads single texts, not pairs"):
        encoder().encode(["good", ("good", "day")])
    with pytest.raises(ModelError, match="reads pairs of premise and hypothesis"):
        encoder(PAIRS).encode([("good", "day"), "good"])


@pytest.mark.parametrize(
    "tokens",
    [
        Tokens(max_length=3),
        Tokens(max_length=10, overlap=8, max_windows=2),
        Tokens(max_length=10, overlap=-1),
        Tokens(max_length=10, max_windows=0),
    ],
)
def test_windows_that_get_nowhere_are_refused(tokens: Tokens) -> None:
    with pytest.raises(ModelError, match=r"its windows of .*: publish the model again"):
        encoder(tokens)


@pytest.mark.parametrize(
    ("names", "kind", "reason"),
    [
        (("input_ids",), "int64", "has the inputs input_ids, attention_mask"),
        (("input_ids", "attention_mask", "position_ids"), "int64", "not input_ids, attention_mask, position_ids"),
        (("input_ids", "attention_mask"), "float32", "must be int32 or int64, not float32"),
    ],
)
def test_inputs_that_it_cannot_fill_are_refused(names: tuple[str, ...], kind: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        encoder(inputs=[Tensor(name=name, dtype=kind, shape=("rows", "length")) for name in names])


def without_unknown() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({"a": 0, "[CLS]": 1}, unk_token="[UNK]"))
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    return tokenizer


def without_special() -> Tokenizer:
    tokenizer = roberta()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    return tokenizer


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its tokenizer cannot be used"),
        (b"{}", "its tokenizer cannot be used"),
        (b"\x80\x04]", "its tokenizer cannot be used"),
        (without_unknown().to_str().encode(), "its tokenizer cannot be used"),
        (without_special().to_str().encode(), "adds no special tokens"),
    ],
)
def test_a_tokenizer_that_would_fail_on_some_post_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        TokenEncoder(content, SINGLE, INPUTS)


def test_threads_share_an_encoder() -> None:
    shared = encoder()
    texts = [f"good w{number} " * (number % 12) for number in range(300)]
    alone: list[Encoded] = encoder().encode(texts)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == alone for found in pool.map(shared.encode, [texts] * 8))
