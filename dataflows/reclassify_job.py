"""The reclassify flow of one process: its parts, put together and run.

It is one process with one worker, whatever the size of the posts job: the device and the
document store bound what it does, and neither is asked faster by more of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from connectors.patient_documents import PatientDocuments
from connectors.redis_topics import TopicBoard
from connectors.score_sink import ScoreSink
from connectors.trend_feed import KafkaTrendFeed, RedisTrendFeed, Roster, TrendEventSource, TrendFeed
from connectors.trend_reader import TrendReader
from dataflows import assembly, reclassify
from dataflows.host import Host, now, trouble
from dataflows.models import ServedModel
from dataflows.topics import Services, open_judge, rescoring_options
from groundswell import step_ids
from groundswell.errors import SettingsError
from groundswell.health import Health
from groundswell.readiness import Check
from operators.topics.rescore import Rescorer


class ReclassifyJob:
    """Re-reads the documents in the light of what trends; ``run`` blocks until the host is to stop.

    With ``upstream`` it ends once that is finished and nothing is left to do.
    """

    def __init__(self, host: Host, ready_when: dict[str, Check], upstream: Callable[[], bool] = lambda: False) -> None:
        self._host = host
        self._ready_when = ready_when
        self._upstream = upstream
        self.epochs = 0
        self.health = Health(host.waits, host.settings.job.stall_after, ready_when=ready_when)
        if not host.order.redis_url:
            raise SettingsError("reclassification needs Redis, where the topics lie: set redis.url")

    def run(self, model: ServedModel | None) -> None:
        """Open everything and run the flow to its end.

        Raises:
            StopJob: a dependency is such that a restart would not help.
            Draining: told to stop while a dependency did not answer.
        """
        host, settings = self._host, self._host.settings
        store = assembly.open_documents(settings, host.waits)
        host.until_it_answers(store.prepare)
        self._ready_when["documents"] = lambda: trouble(store)
        client = assembly.open_redis(settings, host.order.redis_url)
        roster = Roster()
        services = Services(
            settings, store, TopicBoard(client, settings.redis.prefix), roster, model, host.waits, host.keep_waiting
        )
        documents = PatientDocuments(store, host.waits, host.keep_waiting)
        rescorer = Rescorer(
            services, documents, open_judge(settings, model), rescoring_options(settings), now, self.health.working
        )
        source = TrendEventSource(
            self._feed(TrendReader(client, settings.redis.prefix)),
            roster,
            host.stop,
            host.waits,
            lambda: self._upstream() and rescorer.idle,
            rescorer.coming,
            self._epoch_closed,
        )
        scores = ScoreSink(store, host.waits, host.keep_waiting, services.declare)
        parts = reclassify.ReclassifyFlow(source, rescorer, scores)
        host.run_flow(reclassify.build(parts), Path(f"{host.order.recovery_dir}-{step_ids.RECLASSIFY_FLOW}"))
        client.close()
        store.close()

    def _feed(self, reader: TrendReader) -> TrendFeed:
        settings = self._host.settings
        if assembly.trends_in_kafka(settings):
            kafka = settings.kafka
            return KafkaTrendFeed(kafka.bootstrap_servers, kafka.trends_topic, client=assembly.kafka_client(settings))
        return RedisTrendFeed(reader)

    def _epoch_closed(self) -> None:
        self.epochs += 1
        self.health.epoch_closed()
