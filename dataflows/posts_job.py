"""The posts flow of one process: its parts, put together and run."""

from __future__ import annotations

from pathlib import Path

from connectors.breadcrumbs import Breadcrumbs
from connectors.credits import Credits
from connectors.dead_letter_sink import DeadLetterSink
from connectors.document_sink import DocumentSink
from connectors.document_store import DocumentStore
from connectors.redis_topics import TopicBoard
from connectors.source import CompositeSource
from connectors.trend_sink import TrendSink
from connectors.trend_store import TrendStore
from dataflows import assembly, posts
from dataflows.host import Host, now, trouble
from dataflows.models import ServedModel
from dataflows.sources import open_replay, open_sources
from dataflows.topics import open_inline
from dataflows.trends import TrendsBranch
from groundswell import step_ids
from groundswell.health import Health
from groundswell.in_flight import InFlight
from groundswell.readiness import Check
from groundswell.redis_keys import process_member
from operators.analyse import Analyser
from operators.dead_share import DeadShare
from operators.in_hand import TracedAnalyser, TracedDecoder
from operators.topics.inline import InlineTopics


class PostsJob:
    """Reads posts, scores them and indexes them; ``run`` blocks until the sources end or the host is to stop."""

    def __init__(self, host: Host, ready_when: dict[str, Check]) -> None:
        settings = host.settings
        self._host = host
        self._ready_when = ready_when
        self.epochs = 0
        self.health = Health(host.waits, settings.job.stall_after, ready_when=ready_when)

    def run(self, model: ServedModel | None) -> None:
        """Open everything, run the flow to its end, and leave every accepted record confirmed.

        Raises:
            StopJob: a dependency or the stream is such that a restart would not help.
            Draining: told to stop while a dependency did not answer.
        """
        host, order, settings = self._host, self._host.order, self._host.settings
        store = assembly.open_documents(settings, host.waits)
        host.until_it_answers(store.prepare)
        dead_letters = assembly.open_dead_letters(settings, host.waits)
        host.until_it_answers(dead_letters.prepare)
        allowance = Credits(settings.sources.credit_records, settings.sources.credit_bytes)
        self._ready_when["documents"] = lambda: trouble(store)
        if model is not None:
            self._ready_when["model"] = model.trouble
        replay = open_replay(settings, allowance, host.stop, host.waits, order.replay) if order.replay else None
        sources = (
            [replay] if replay else open_sources(settings, allowance, host.stop, host.waits, until_end=order.until_end)
        )
        marks = Breadcrumbs(Path(order.breadcrumbs_dir), order.process)
        in_flight = InFlight(now)
        topics = self._topics(model, in_flight)
        analyser = Analyser(model.read if model else None, now, in_flight=in_flight, topics=topics)
        slots = step_ids.slots_of(order.process, order.processes)
        source = CompositeSource(sources, self._epoch_closed, idle_timeout=settings.trends.idle_timeout)
        self.health.idle_when(lambda: source.idle)
        trend_stores = self._trend_stores(store)
        documents = DocumentSink(
            store, dead_letters, allowance, slots, host.keep_waiting, self._dead_share(), in_flight=in_flight
        )
        parts = posts.PostsFlow(
            source=source,
            isolation=order.isolation,
            decoder=TracedDecoder(assembly.open_decoder(settings, now), marks, self._dead_share()),
            analyser=TracedAnalyser(analyser, marks, self.health.working, one_by_one=bool(order.isolation)),
            documents=documents,
            dead_letters=DeadLetterSink(dead_letters, slots, host.keep_waiting),
            slots=slots,
            now=now,
            trends=self._trends(source, trend_stores),
        )
        if topics is not None:
            topics.start()
        try:
            host.run_flow(
                posts.build(parts),
                Path(order.recovery_dir),
                addresses=order.addresses,
                process=order.process,
                workers=settings.job.workers,
            )
        finally:
            if topics is not None:
                topics.close()
        documents.raise_failure()
        if replay is not None and not host.stop.is_set():
            replay.finish()
        dead_letters.close()
        for trend_store in trend_stores:
            trend_store.close()
        store.close()

    def _topics(self, model: ServedModel | None, in_flight: InFlight) -> InlineTopics | None:
        """What scores fresh posts against the topics that are active; ``None`` where nobody could tell of any."""
        host, order = self._host, self._host.order
        if not order.redis_url or order.replay:
            return None
        board = TopicBoard(assembly.open_redis(host.settings, order.redis_url), host.settings.redis.prefix)
        reader = process_member(host.settings.job.name, order.process)
        return open_inline(host.settings, board, reader, model, in_flight)

    def _trend_stores(self, documents: DocumentStore) -> list[TrendStore]:
        """Where the one process that writes windows and trends puts them."""
        host, order = self._host, self._host.order
        if order.process != 0 or not host.settings.trends.enabled or order.replay:
            return []
        stores = assembly.open_trend_stores(host.settings, host.waits, order.redis_url, documents)
        for store in stores:
            host.until_it_answers(store.prepare)
        return stores

    def _trends(self, source: CompositeSource, stores: list[TrendStore]) -> TrendsBranch | None:
        """The branch that counts hashtags; a dead letter's second try is no news, so its tags are not counted."""
        host, order = self._host, self._host.order
        if not host.settings.trends.enabled or order.replay:
            return None
        sink = TrendSink(stores, host.keep_waiting, owner=order.process == 0)
        return TrendsBranch(assembly.trend_options(host.settings), source.partition_keys, sink, now)

    def _epoch_closed(self) -> None:
        self.epochs += 1
        self.health.epoch_closed()

    def _dead_share(self) -> DeadShare | None:
        """The guard of the share of dead letters; bad records in given files never stop a run that ends with them."""
        settings, order = self._host.settings, self._host.order
        if order.replay or (order.until_end and "kafka" not in settings.sources.use):
            return None
        return DeadShare(settings.dead_letters.max_share, settings.dead_letters.window)
