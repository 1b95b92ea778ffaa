"""How a job ends: drained, because it cannot go on, or because it crashes again and again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.dataflows.harness import ROOT, Cluster, Run, run_to_end
from tests.dataflows.planting import bad, post

pytestmark = [pytest.mark.stack, pytest.mark.faults]

_POISONED = Path(__file__).parent / "poisoned"


def _crashing(when: str) -> dict[str, str]:
    paths = [str(_POISONED), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "GROUNDSWELL_TEST_CRASH": when}


def _poison(number: int) -> bytes:
    return json.dumps(json.loads(post(number)) | {"text": "a poisonous-record"}).encode()


def test_sigterm_drains_and_the_next_run_goes_on_at_exactly_the_next_record(cluster: Cluster) -> None:
    settings = cluster.settings({"sources": {"credit_records": 2_000}})
    cluster.planter.plant(40_000, repeated_share=0)
    with Run(settings) as run:
        cluster.wait_for_documents(3_000)
        run.terminate()
        assert run.wait() == 0, run.reason
        first = run.summary()
    assert first["ended"] == "drained"
    assert first["documents"] < 40_000, "it was to be stopped half-way"
    second = run_to_end(settings)
    assert second["ended"] == "finished"
    assert (first["duplicates"], second["duplicates"]) == (0, 0)
    assert first["documents"] + second["documents"] == 40_000
    assert sum(first["dead"].values()) + sum(second["dead"].values()) == len(cluster.planter.dead)
    records = cluster.dead_records()
    assert len(records) == len({key for key, _, _ in records}), "a dead letter was written twice"
    cluster.assert_all_accounted_for()


def test_a_record_that_crashes_the_job_stops_it_and_is_named(cluster: Cluster) -> None:
    cluster.planter.plant(3_000)
    offset = cluster.planter.add(_poison(-1), partition=2)
    cluster.planter.plant(1_000)
    with Run(cluster.settings(), environment=_crashing("record")) as run:
        assert run.wait() == 1
        assert f"{cluster.topic}/2/{offset} crashes the job" in run.reason
        assert run.summary()["ended"] == "stopped"


def test_a_record_that_crashes_the_job_is_set_aside(cluster: Cluster) -> None:
    settings = cluster.settings({"job": {"on_crash": "quarantine"}})
    planter = cluster.planter
    planter.plant(3_000)
    for partition in (1, 3):
        poison = _poison(-partition)
        planter.dead[f"{cluster.topic}/{partition}/{planter.add(poison, partition=partition)}"] = poison
    planter.plant(1_000)
    with Run(settings, "--until-end", environment=_crashing("record")) as run:
        assert run.wait() == 0, run.reason
        cluster.assert_all_accounted_for()
        causes = [headers["cause"] for _, value, headers in cluster.dead_records() if b"poisonous-record" in value]
        assert causes == ["crash", "crash"]
    # What was learnt outlives the run.
    planter.plant(500)
    assert run_to_end(settings, environment=_crashing("record"))["restarts"] == 0
    cluster.assert_all_accounted_for()


def test_a_crash_loop_is_given_up(cluster: Cluster) -> None:
    settings = cluster.settings({"job": {"max_restarts": 2}})
    with Run(settings, environment=_crashing("start")) as run:
        assert run.wait() == 1
        assert "gave up after 2 restarts without progress" in run.reason
        assert "exit code 87" in run.reason


def test_a_wrong_mapping_does_not_drain_the_topic(cluster: Cluster) -> None:
    settings = cluster.settings({"decode": {"shape": "generic"}, "decode.mapping": {"text": "body.content"}})
    cluster.planter.plant(30_000)
    with Run(settings) as run:
        assert run.wait() == 1
        assert "are dead letters" in run.reason
        assert "check decode.shape and decode.mapping" in run.reason
        assert run.summary()["restarts"] == 0
    # After the correction nothing is missing: what was read before it stopped is replayed.
    corrected = cluster.settings(name="corrected.toml")
    run_to_end(corrected)
    documents = set(cluster.documents().values())
    letters = cluster.dead_letters()
    early = {json.loads(value)["id"] for key, value in letters.items() if key not in cluster.planter.dead}
    assert documents | early == cluster.planter.ids
    assert cluster.planter.dead.items() <= letters.items()


def test_documents_that_the_store_refuses_are_dead_letters(cluster: Cluster) -> None:
    """Something else already mapped a field of the index in another way."""
    cluster.planter.plant(300, repeated_share=0)
    template: dict[str, Any] = {
        "index_patterns": [f"{cluster.alias}-*"],
        "priority": 10_000,
        "template": {
            "settings": {"number_of_replicas": 0},
            "aliases": {cluster.alias: {}},
            "mappings": {"properties": {"lang": {"type": "integer"}}},
        },
    }
    cluster.elasticsearch.request("PUT", f"/_index_template/{cluster.alias}-foreign", template)
    settings = cluster.settings({"dead_letters": {"max_share": 1.0}})
    summary = run_to_end(settings)
    assert summary["documents"] == 0
    refused = [record for record in cluster.dead_records() if record[2]["step"] == "documents"]
    assert {json.loads(value)["id"] for _, value, _ in refused} == cluster.planter.ids
    assert {headers["cause"] for _, _, headers in refused} == {"document_parsing"}
    assert "failed to parse field [lang]" in refused[0][2]["detail"]


def test_settings_that_cannot_be_used_end_with_exit_code_2(cluster: Cluster) -> None:
    with Run(cluster.settings({"kafka": {"topci": "posts"}})) as run:
        assert run.wait() == 2
        assert "topic" in run.reason


def test_a_missing_topic_ends_the_job_with_a_reason(cluster: Cluster) -> None:
    with Run(cluster.settings({"kafka": {"topic": "no-such-topic"}})) as run:
        assert run.wait() == 1
        assert "no-such-topic" in run.reason


def test_bad_records_do_not_change_the_exit_code(cluster: Cluster) -> None:
    planter = cluster.planter
    for number in range(70):
        value = bad(number)
        planter.dead[f"{cluster.topic}/0/{planter.add(value)}"] = value
    summary = run_to_end(cluster.settings())
    assert summary["read"] == sum(summary["dead"].values()) == 70
    assert cluster.dead_letters() == planter.dead
