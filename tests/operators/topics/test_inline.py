"""Fresh posts against the active topics."""

from __future__ import annotations

from datetime import datetime, timedelta

from groundswell.errors import Unavailable
from groundswell.in_flight import InFlight
from groundswell.records import Document
from groundswell.topics import Classification, Topic, TopicsKnown
from operators.topics.inline import InlineTopics
from tests.operators.topics.archive import NOON, SPACE, Judge, topic
from tests.waiting import wait_until


class Board:
    """Topics in memory, that a test changes and takes away."""

    def __init__(self) -> None:
        self.there: dict[str, Topic] = {}
        self.changes = 0
        self.silent = False
        self.reports: dict[str, TopicsKnown] = {}

    def put(self, topic: Topic) -> None:
        self.there[topic.tag] = topic
        self.changes += 1

    def stamp(self) -> str:
        self._answer()
        return str(self.changes)

    def topics(self) -> tuple[str, dict[str, Topic]]:
        self._answer()
        return str(self.changes), dict(self.there)

    def report(self, reader: str, known: TopicsKnown) -> None:
        self._answer()
        self.reports[reader] = known

    def leave(self, reader: str) -> None:
        self._answer()
        del self.reports[reader]

    def _answer(self) -> None:
        if self.silent:
            raise Unavailable("redis", "no answer")


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


def inline(board: Board, clock: Clock, in_flight: InFlight | None = None) -> InlineTopics:
    return InlineTopics(
        board,
        "posts:0",
        Judge(),
        in_flight or InFlight(clock),
        clock,
        threshold=0.5,
        least_score=0.05,
        refresh=0.005,
    )


def post(score: float, *hashtags: str) -> Document:
    text = f"{score:.6f}"
    return Document("1", "test", text, NOON, NOON, hashtags=hashtags, embedding="7f" * 384, embedding_space=SPACE)


def test_posts_are_scored_by_the_rule_of_a_re_reading() -> None:
    board, clock = Board(), Clock()
    board.put(topic())
    scoring = inline(board, clock)
    scoring.start()
    posts = [post(0.9), post(0.45), post(0.01), post(0.01, "flood")]
    scoring.score(posts, NOON)
    scoring.close()

    def about(score: float, member: bool) -> dict[str, Classification]:
        return {"flood": Classification(score, "flood/1", NOON, "judge@1", NOON, member)}

    assert [each.classification for each in posts] == [
        about(0.9, True),
        about(0.55, True),
        {},
        about(0.01, False),
    ]
    assert [each.topics for each in posts] == [("flood",), ("flood",), (), ()]


def test_a_post_may_be_about_several_topics() -> None:
    board, clock = Board(), Clock()
    board.put(topic())
    board.put(topic(tag="storm", trend="storm/1"))
    scoring = inline(board, clock)
    scoring.start()
    posts = [post(0.9)]
    scoring.score(posts, NOON)
    scoring.close()
    assert posts[0].topics == ("flood", "storm")
    assert set(posts[0].classification) == {"flood", "storm"}


def test_documents_share_no_classifications() -> None:
    board, clock = Board(), Clock()
    board.put(topic())
    scoring = inline(board, clock)
    scoring.start()
    scoring.score([post(0.9)], NOON)
    scoring.close()
    assert post(0.9).classification == {}


def test_it_says_since_when_it_scores_against_a_topic() -> None:
    board, clock = Board(), Clock()
    scoring = inline(board, clock)
    scoring.start()
    assert board.reports["posts:0"].made == {}
    before = clock()
    board.put(topic())
    wait_until(lambda: board.reports["posts:0"].made == {"flood": NOON}, 5, "the report of the topic")
    since = board.reports["posts:0"].since["flood"]
    assert before < since
    board.put(topic(tag="storm", trend="storm/1"))
    wait_until(lambda: len(board.reports["posts:0"].made) == 2, 5, "the report of the second topic")
    assert board.reports["posts:0"].since["flood"] == since, "another topic takes nothing back"
    newer = topic(seconds=60)
    board.put(newer)
    wait_until(lambda: board.reports["posts:0"].made["flood"] == newer.at, 5, "the report of the newer topic")
    assert board.reports["posts:0"].since["flood"] > since
    scoring.close()
    assert board.reports == {}


def test_it_says_up_to_when_everything_is_durable() -> None:
    board, clock = Board(), Clock()
    in_flight = InFlight(clock)
    begun = clock()
    in_flight.begin(begun)
    scoring = inline(board, clock, in_flight)
    scoring.start()
    assert board.reports["posts:0"].durable == begun
    in_flight.finish([begun])
    wait_until(lambda: board.reports["posts:0"].durable > begun, 5, "the report that all is durable")
    scoring.close()


def test_without_an_answer_the_topics_that_are_known_go_on() -> None:
    board, clock = Board(), Clock()
    board.silent = True
    scoring = inline(board, clock)
    scoring.start()
    assert scoring.topics == ()
    assert board.reports == {}
    board.silent = False
    board.put(topic())
    wait_until(lambda: scoring.topics == (topic(),), 5, "the topic after the outage")
    board.silent = True
    posts = [post(0.9)]
    scoring.score(posts, NOON)
    assert posts[0].topics == ("flood",)
    scoring.close()
