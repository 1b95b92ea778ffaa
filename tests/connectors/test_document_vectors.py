"""What every document store must do with embeddings, run over each of them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import chain, count

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import elasticsearch_vectors
from connectors.document_query import Query, QueryError
from connectors.document_store import DocumentStore
from connectors.document_vectors import Lacking, NewVector, PutVectors, SpaceCount
from connectors.documents import open_document_store
from connectors.elasticsearch_schema import EMBEDDING_DIMENSIONS
from groundswell.errors import StopJob, Unavailable
from groundswell.records import Document, document_id
from groundswell.waits import Waits
from tests.connectors.documents import TIME, Open, deletion, envelope, write
from tests.proxies import FlakyProxy, Reply, Request, reject_items
from tests.stack.elasticsearch import ElasticsearchServer

_EXAMPLES = count()


def vector(*numbers: int) -> bytes:
    """A vector that begins with these signed numbers and goes on with zeros."""
    return bytes(number & 0xFF for number in numbers).ljust(EMBEDDING_DIMENSIONS, b"\0")


def lacking(store: DocumentStore, space: str = "A", page: int = 500) -> list[Lacking]:
    return list(chain.from_iterable(store.lacking(space, page)))


def put(store: DocumentStore, found: Sequence[Lacking], numbers: bytes | None, space: str = "A") -> tuple[int, int]:
    """Give all of them one vector; how many were written and how many were passed over."""
    result = store.put_vectors([NewVector(document, numbers, space) for document in found])
    assert list(result.again) == []
    store.refresh()
    return result.written, result.passed


def whole(store: DocumentStore, number: int | str) -> Document:
    identity = document_id("test", str(number))
    return store.get([identity])[identity]


def near(store: DocumentStore, numbers: bytes, space: str = "A", **query: object) -> list[str]:
    return [hit.document.id for hit in store.nearest(numbers, space, Query(**query))]  # type: ignore[arg-type]


@pytest.fixture
def library(store: DocumentStore) -> DocumentStore:
    def of(numbers: bytes, space: str = "A") -> dict[str, str]:
        return {"embedding": numbers.hex(), "embedding_space": space}

    write(
        store,
        envelope("east", "the flood", lang="en", hashtags=("flood",), **of(vector(100))),
        envelope("north", "no flood", lang="en", created_at=TIME + timedelta(days=20), **of(vector(0, 7))),
        envelope("west", "la crue", lang="fr", source="press", **of(vector(-128))),
        envelope("northeast", "a flood", lang="en", created_at=TIME + timedelta(hours=1), **of(vector(5, 5))),
        envelope("elsewhere", "the flood", lang="en", **of(vector(100), "B")),
        envelope("nowhere", "the flood", lang="en"),
        envelope("unread", "the flood", lang="en", embedding_space="A"),
    )
    return store


class TestNearest:
    def test_the_cosine_of_each_in_the_space_and_of_no_other(self, library: DocumentStore) -> None:
        hits = library.nearest(vector(1), "A", Query())
        assert [(hit.document.id, round(hit.score, 5)) for hit in hits] == [
            ("east", 1.0),
            ("northeast", 0.70711),
            ("north", 0.0),
            ("west", -1.0),
        ]
        assert near(library, vector(1), "B") == ["elsewhere"]
        assert near(library, vector(1), "C") == []
        assert near(library, vector(0, 1), limit=2) == ["north", "northeast"]

    def test_hits_are_whole_but_for_the_embedding(self, library: DocumentStore) -> None:
        hit = library.nearest(vector(-1), "A", Query(limit=1))[0]
        assert (hit.id, hit.document) == (
            document_id("press", "west"),
            msgspec.structs.replace(library.get([hit.id])[hit.id], embedding=None),
        )
        assert hit.document.embedding_space == "A"

    def test_only_what_the_query_finds(self, library: DocumentStore) -> None:
        assert near(library, vector(1), text="flood") == ["east", "northeast", "north"]
        assert near(library, vector(1), text='"no flood"') == ["north"]
        assert near(library, vector(1), text="#flood") == ["east"]
        assert near(library, vector(1), lang="fr") == ["west"]
        assert near(library, vector(1), source="press") == ["west"]
        assert near(library, vector(1), since=TIME + timedelta(hours=1)) == ["northeast", "north"]
        assert near(library, vector(1), until=TIME + timedelta(hours=1), lang="en") == ["east"]
        # The filter comes before the limit: the nearest of what fits, not what fits of the nearest.
        assert near(library, vector(1), lang="fr", limit=1) == ["west"]

    @pytest.mark.parametrize(
        ("numbers", "space", "query", "why"),
        [
            (b"\1", "A", Query(), "1 dimensions instead of 384"),
            (vector(), "A", Query(), "no direction"),
            (vector(1), "", Query(), "one embedding space"),
            (vector(1), "A", Query(sort="created_at"), "cannot be sorted"),
            (vector(1), "A", Query(limit=0), "limit 0"),
            (vector(1), "A", Query(limit=10_001), "limit 10001"),
            (vector(1), "A", Query(text="!!!"), "nothing to search for"),
        ],
    )
    def test_what_makes_no_sense_is_a_clear_error(
        self, library: DocumentStore, numbers: bytes, space: str, query: Query, why: str
    ) -> None:
        with pytest.raises(QueryError, match=why):
            library.nearest(numbers, space, query)

    def test_an_empty_store_has_nothing_near(self, store: DocumentStore) -> None:
        assert near(store, vector(1)) == []
        assert store.count_spaces() == []
        assert lacking(store) == []

    def test_what_is_deleted_is_not_found(self, library: DocumentStore) -> None:
        write(library, deletion("east"))
        assert near(library, vector(1), limit=1) == ["northeast"]

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(limit=st.integers(1, 40), data=st.data())
    def test_exact_against_plain_arithmetic(self, store: DocumentStore, limit: int, data: st.DataObject) -> None:
        # Examples share the store, and a post of the same name in another week would be another document.
        example = next(_EXAMPLES)
        numbers = st.binary(min_size=EMBEDDING_DIMENSIONS, max_size=EMBEDDING_DIMENSIONS).filter(any)
        drawn = data.draw(st.lists(st.tuples(numbers, st.sampled_from("AB"), st.integers(0, 30)), max_size=30))
        wanted = data.draw(numbers)
        space = f"A{example}"
        write(
            store,
            *(
                envelope(
                    f"{example}-{number}",
                    created_at=TIME + timedelta(days=day),
                    embedding=embedding.hex(),
                    embedding_space=f"{name}{example}",
                )
                for number, (embedding, name, day) in enumerate(drawn)
            ),
        )
        stored = {hit.document.id for hit in store.search(Query(limit=10_000)) if hit.document.embedding_space == space}
        expected = sorted(
            (
                cosine(wanted, bytes.fromhex(found.embedding or ""))
                for found in store.get([document_id("test", name) for name in stored]).values()
            ),
            reverse=True,
        )
        hits = store.nearest(wanted, space, Query(limit=limit))
        assert [hit.score for hit in hits] == pytest.approx(expected[:limit], abs=1e-5)
        assert {hit.document.id for hit in hits} <= stored


def cosine(one: bytes, other: bytes) -> float:
    left, right = (memoryview(numbers).cast("b").tolist() for numbers in (one, other))
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    return dot / math.sqrt(sum(a * a for a in left) * sum(b * b for b in right))


class TestLacking:
    def test_those_without_a_vector_of_the_space_newest_first(self, library: DocumentStore) -> None:
        write(library, envelope("new", "breaking", created_at=TIME + timedelta(days=30)))
        found = lacking(library)
        assert [each.text for each in found] == ["breaking", "the flood", "the flood"]
        assert {each.id for each in found} == {document_id("test", name) for name in ("new", "elsewhere", "nowhere")}
        assert len(lacking(library, "B")) == 7
        assert len(lacking(library, "C")) == 8

    def test_pages(self, store: DocumentStore) -> None:
        # Many of one time, and some of others: every tie is crossed by a page.
        write(store, *(envelope(number, created_at=TIME + timedelta(days=number // 10)) for number in range(50)))
        pages = list(store.lacking("A", page=7))
        assert [len(page) for page in pages] == [7] * 7 + [1]
        assert len({each.id for page in pages for each in page}) == 50

    def test_what_got_its_vector_does_not_come_again(self, store: DocumentStore) -> None:
        write(store, *(envelope(number) for number in range(20)))
        for expected in (20, 13, 6):
            found = lacking(store, page=4)
            assert len(found) == expected
            store.put_vectors([NewVector(document, vector(1), "A") for document in found[:7]])
        put(store, lacking(store), vector(1))
        assert lacking(store) == []

    def test_a_scan_goes_on_beside_what_fills_and_what_comes_in(self, store: DocumentStore) -> None:
        write(store, *(envelope(number) for number in range(30)))
        seen: set[str] = set()
        for number, page in enumerate(store.lacking("A", page=4)):
            put(store, page, vector(1))
            write(store, envelope(f"new {number}", created_at=TIME + timedelta(days=number)), deletion(number))
            seen |= {each.id for each in page}
        assert {document_id("test", str(number)) for number in range(8, 30)} <= seen
        put(store, lacking(store), vector(1))
        assert lacking(store) == []

    def test_a_scan_left_early_leaves_nothing_behind(self, store: DocumentStore) -> None:
        write(store, *(envelope(number) for number in range(10)))
        for _ in range(3):
            pages = store.lacking("A", page=2)
            assert len(next(pages)) == 2
            pages.close()  # type: ignore[attr-defined]

    def test_odd_texts(self, store: DocumentStore) -> None:
        write(store, envelope("empty", ""), envelope("nul", "a\0b"), envelope("long", "word " * 200_000))
        assert {len(each.text) for each in lacking(store)} == {0, 3, 1_000_000}


class TestPutting:
    def test_the_rest_of_the_document_stays(self, store: DocumentStore) -> None:
        write(store, envelope(1, lang="en", hashtags=("a", "b"), truncated=True))
        before = whole(store, 1)
        assert put(store, lacking(store), vector(1, -2, 3)) == (1, 0)
        assert whole(store, 1) == msgspec.structs.replace(before, embedding=vector(1, -2, 3).hex(), embedding_space="A")
        assert near(store, vector(1, -2, 3)) == ["1"]

    def test_a_vector_of_another_space_is_replaced(self, store: DocumentStore) -> None:
        write(store, envelope(1, embedding=vector(1).hex(), embedding_space="old"))
        assert put(store, lacking(store), vector(0, 1)) == (1, 0)
        assert (near(store, vector(1), "old"), near(store, vector(0, 1))) == ([], ["1"])

    def test_a_text_without_a_vector_is_noted_and_asked_about_no_more(self, store: DocumentStore) -> None:
        write(store, envelope(1, embedding=vector(1).hex(), embedding_space="old"), envelope(2))
        assert put(store, lacking(store), None) == (2, 0)
        assert lacking(store) == []
        assert (whole(store, 1).embedding, whole(store, 1).embedding_space) == (None, "A")
        assert near(store, vector(1)) == near(store, vector(1), "old") == []
        assert {each.text for each in lacking(store, "next")} == {"the river rises"}
        assert len(lacking(store, "next")) == 2

    def test_putting_twice_changes_nothing(self, store: DocumentStore) -> None:
        write(store, envelope(1), envelope(2))
        found = lacking(store)
        put(store, found, vector(1))
        put(store, found, vector(1))
        assert near(store, vector(1)) == ["1", "2"] or near(store, vector(1)) == ["2", "1"]
        assert store.count() == 2

    def test_what_was_deleted_meanwhile_stays_deleted(self, store: DocumentStore) -> None:
        write(store, *(envelope(number) for number in range(4)))
        found = lacking(store)
        write(store, deletion(0), deletion(3))
        assert put(store, found, vector(1)) == (2, 2)
        assert store.count() == 2
        assert set(near(store, vector(1))) == {"1", "2"}

    def test_what_was_made_anew_meanwhile_does_not_get_the_vector_of_its_former_text(
        self, store: DocumentStore
    ) -> None:
        write(store, envelope(1, "before"))
        found = lacking(store)
        write(store, deletion(1), envelope(1, "after"))
        assert put(store, found, vector(1)) == (0, 1)
        assert near(store, vector(1)) == []
        assert [each.text for each in lacking(store)] == ["after"]

    @pytest.mark.parametrize("numbers", [b"", vector(), vector(1) + b"\1"])
    def test_what_must_never_be_stored_is_refused(self, store: DocumentStore, numbers: bytes) -> None:
        write(store, envelope(1))
        with pytest.raises(ValueError, match="384 dimensions"):
            put(store, lacking(store), numbers)
        with pytest.raises(ValueError, match="space"):
            put(store, lacking(store), vector(1), "")
        assert store.put_vectors([]) == PutVectors()

    def test_writers_of_posts_and_of_vectors_side_by_side(self, open_store: Open) -> None:
        """Posts come, are deleted and come again while two fill vectors in: what is left has the vector of its text."""
        store = open_store()
        done = threading.Event()

        def fill() -> None:
            mine = open_store()
            while True:
                last = done.is_set()
                for page in mine.lacking("A", page=8):
                    mine.put_vectors([NewVector(each, vector(1 + len(each.text)), "A") for each in page])
                if last:
                    return

        fillers = [threading.Thread(target=fill) for _ in range(2)]
        for filler in fillers:
            filler.start()
        for step in range(12):
            write(
                store,
                *(envelope(number, "x" * (number % 5 + step), created_at=TIME) for number in range(60)),
                *(deletion(number) for number in range(step % 3, 60, 3)),
            )
        done.set()
        for filler in fillers:
            filler.join(120)
        store.refresh()
        while left := lacking(store):
            store.put_vectors([NewVector(each, vector(1 + len(each.text)), "A") for each in left])
            store.refresh()
        documents = store.get([document_id("test", str(number)) for number in range(60)])
        assert len(documents) == store.count() == 40
        assert all(found.embedding == vector(1 + len(found.text)).hex() for found in documents.values())


def test_the_documents_of_each_space(library: DocumentStore) -> None:
    counts = {count.space: count for count in library.count_spaces()}
    assert counts == {
        None: SpaceCount(None, 1, 0),
        "A": SpaceCount("A", 5, 4),
        "B": SpaceCount("B", 1, 1),
    }


def _older_index(server: ElasticsearchServer, prefix: str, properties: dict[str, object] | None = None) -> str:
    """An index behind the alias that knows nothing of embeddings, with one document."""
    plain = {"id": "keyword", "source": "keyword", "text": "text", "created_at": "date", "indexed_at": "date"}
    fields = {name: {"type": kind} for name, kind in plain.items()} | (properties or {})
    index = f"{prefix}posts-from-before"
    server.request(
        "PUT",
        f"/{index}",
        {
            "settings": {"number_of_replicas": 0},
            "mappings": {"dynamic": "strict", "properties": fields},
            "aliases": {f"{prefix}posts": {}},
        },
    )
    document = {"id": "1", "source": "test", "text": "older", "created_at": TIME.isoformat()}
    server.request(
        "PUT", f"/{index}/_doc/{document_id('test', '1')}?refresh=true", {**document, "indexed_at": TIME.isoformat()}
    )
    return index


@pytest.mark.stack
class TestElasticsearch:
    def _open(self, server: ElasticsearchServer, prefix: str) -> DocumentStore:
        return open_document_store(
            server.url, Waits(), alias=f"{prefix}posts", trends_index=f"{prefix}trends", replicas=0
        )

    def test_an_index_that_was_there_before_gets_its_vectors(self, elasticsearch: ElasticsearchServer) -> None:
        prefix = elasticsearch.prefix()
        _older_index(elasticsearch, prefix)
        store = self._open(elasticsearch, prefix)
        assert near(store, vector(1)) == []
        store.prepare()
        write(store, envelope(2, embedding=vector(0, 1).hex(), embedding_space="A"))
        assert put(store, lacking(store), vector(1)) == (1, 0)
        assert near(store, vector(1)) == ["1", "2"]
        store.close()

    def test_an_index_that_may_not_be_changed_is_searched_as_before(
        self, elasticsearch: ElasticsearchServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        prefix = elasticsearch.prefix()
        index = _older_index(elasticsearch, prefix)
        elasticsearch.request("PUT", f"/{index}/_settings", {"index.blocks.read_only": True})
        store = self._open(elasticsearch, prefix)
        store.prepare()
        assert f"the index {index} does not take embeddings" in caplog.text
        assert near(store, vector(1)) == []
        assert [hit.document.text for hit in store.search(Query(text="older"))] == ["older"]
        write(store, envelope(2))
        assert put(store, lacking(store), vector(1)) == (1, 0)
        assert lacking(store) == []
        assert f"these indices take no writes, so their documents stay as they are: {index}" in caplog.text
        elasticsearch.request("PUT", f"/{index}/_settings", {"index.blocks.read_only": None})
        store.close()

    @pytest.mark.parametrize(
        "field",
        [
            {"embedding": {"type": "dense_vector", "dims": 768, "index": False}},
            {"embedding": {"type": "float"}},
            {"embedding_space": {"type": "text"}},
        ],
    )
    def test_fields_that_are_something_else_are_said_at_the_start(
        self, elasticsearch: ElasticsearchServer, field: dict[str, object]
    ) -> None:
        prefix = elasticsearch.prefix()
        _older_index(elasticsearch, prefix, field)
        store = self._open(elasticsearch, prefix)
        with pytest.raises(StopJob, match=f"posts-from-before.* has {next(iter(field))} mapped to something else"):
            store.prepare()
        store.close()

    def test_an_expired_snapshot_is_no_end(self, elasticsearch: ElasticsearchServer) -> None:
        prefix = elasticsearch.prefix()
        store = self._open(elasticsearch, prefix)
        store.prepare()
        write(store, *(envelope(number) for number in range(10)))
        pages = store.lacking("A", page=2)
        next(pages)
        elasticsearch.request("DELETE", "/_search/scroll/_all")
        elasticsearch.request("DELETE", f"/{prefix}posts-*")
        with pytest.raises(Unavailable):
            list(pages)
        assert lacking(store) == []
        store.close()

    def test_no_snapshot_is_kept_for_long(
        self, elasticsearch: ElasticsearchServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(elasticsearch_vectors, "_PAGES", 3)
        prefix = elasticsearch.prefix()
        store = self._open(elasticsearch, prefix)
        store.prepare()
        write(store, *(envelope(number) for number in range(20)))
        given = 0
        for page in store.lacking("A", page=2):
            given += put(store, page, vector(1))[0]
        assert given == 20
        stats = elasticsearch.request("GET", f"/{prefix}posts/_stats/search")
        assert stats["_all"]["total"]["search"]["open_contexts"] == 0
        store.close()

    @pytest.fixture
    def proxy(self, elasticsearch: ElasticsearchServer) -> Iterator[FlakyProxy]:
        between = FlakyProxy(elasticsearch.url)
        yield between
        between.close()

    def _found_through(self, proxy: FlakyProxy, prefix: str) -> tuple[DocumentStore, list[Lacking]]:
        store = open_document_store(
            proxy.url, Waits(), alias=f"{prefix}posts", trends_index=f"{prefix}trends", replicas=0
        )
        store.prepare()
        write(store, *(envelope(number) for number in range(10)))
        return store, lacking(store)

    def test_what_a_server_does_not_take_at_once_is_taken_in_parts(
        self, elasticsearch: ElasticsearchServer, proxy: FlakyProxy
    ) -> None:
        def at_most_three(request: Request, pass_on: Callable[[Request], Reply]) -> Reply:
            many = request.body.count(b"\n") > 6
            return Reply(413, b"", {"content-type": "text/plain"}) if many else pass_on(request)

        store, found = self._found_through(proxy, elasticsearch.prefix())
        write(store, deletion(4))
        proxy.fault = at_most_three
        assert put(store, found, vector(1)) == (9, 1)
        store.close()

    def test_what_a_busy_server_does_not_take_is_given_back(
        self, elasticsearch: ElasticsearchServer, proxy: FlakyProxy
    ) -> None:
        store, found = self._found_through(proxy, elasticsearch.prefix())
        proxy.fault = reject_items(lambda number: number in (2, 5))
        new = [NewVector(each, vector(1), "A") for each in found]
        result = store.put_vectors(new)
        assert (result.written, result.passed, result.again) == (8, 0, [new[2], new[5]])
        proxy.fault = reject_items(lambda number: True)
        with pytest.raises(Unavailable, match="rejected"):
            store.put_vectors(result.again)
        proxy.fault = None
        assert store.put_vectors(result.again).written == 2
        store.close()

    def test_an_answer_that_was_lost_is_no_harm(self, elasticsearch: ElasticsearchServer, proxy: FlakyProxy) -> None:
        def lose(request: Request, pass_on: Callable[[Request], Reply]) -> None:
            pass_on(request)

        store, found = self._found_through(proxy, elasticsearch.prefix())
        proxy.fault = lose
        with pytest.raises(Unavailable):
            put(store, found, vector(1))
        proxy.fault = None
        assert put(store, found, vector(2)) == (0, 10)
        assert lacking(store) == []
        assert len(near(store, vector(1))) == 10
        store.close()
