"""Labels in Elasticsearch: the fields that documents are scored in, in the indices and in the template.

Live labels lie in a component template of their own, which the index template is composed
of: whoever puts one of the two cannot undo the other. The template comes first and the
indices that there are then after it, so an index made meanwhile has the fields either way.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any, Literal

import msgspec

from connectors.classification_json import TOPICS
from connectors.document_topics import Declared, Labels, RefusedTag, choose, not_a_tag
from connectors.elasticsearch_client import ElasticsearchClient, Rejected, TooLarge
from connectors.elasticsearch_deletes import READABLE
from connectors.elasticsearch_indices import ask
from connectors.elasticsearch_schema import FLOAT, labels_template, properties
from groundswell.errors import StopJob
from groundswell.topics import CLASSIFICATION, field_of

_LOG = logging.getLogger("groundswell.elasticsearch")

#: Every document has it, so every index names it.
_EVERYWHERE = "created_at"
_META = "classification_meta"
#: Indices in one request: their names are its address.
_AT_ONCE = 50
_FULL = "Limit of total fields"
#: Longest note about a field, in characters; there are five at most.
_LONGEST_NOTE = 50

Fields = dict[str, dict[str, Any]]
#: Whether an index has a field now; ``closed`` is one that takes no changes, or is gone.
_Outcome = Literal["there", "full", "conflict", "closed"]
_WORST_FIRST: tuple[_Outcome, ...] = ("conflict", "closed", "full", "there")


class _Mapping(msgspec.Struct, frozen=True):
    properties: Fields = {}


class _Index(msgspec.Struct, frozen=True):
    mappings: _Mapping = _Mapping()


class _Component(msgspec.Struct, frozen=True):
    template: _Index = _Index()


class _Named(msgspec.Struct, frozen=True):
    component_template: _Component


class _Components(msgspec.Struct, frozen=True):
    component_templates: list[_Named] = []


def label_field(tag: str) -> dict[str, Any]:
    """The mapping of a tag's field, which tells the tag to whoever reads it, as much of it in a value as one takes."""
    parts = range(0, len(tag), _LONGEST_NOTE)
    return {**FLOAT, "meta": {f"tag{start // _LONGEST_NOTE}": tag[start : start + _LONGEST_NOTE] for start in parts}}


class ElasticsearchLabels:
    """The labels of an :class:`~connectors.elasticsearch_store.ElasticsearchStore`; raises like one. Thread-safe."""

    def __init__(self, client: ElasticsearchClient, alias: str) -> None:
        self._client = client
        self._alias = alias
        self._template = labels_template(alias)
        self._lock = threading.Lock()
        self._full: dict[str, frozenset[str]] = {}

    def full(self, tag: str) -> frozenset[str]:
        """The indices that had no room for a tag when it was last declared here."""
        return self._full.get(tag, frozenset())

    def declare(self, tags: Collection[str], keep: Collection[str] | None, max_labels: int) -> Declared:
        """Like :meth:`connectors.document_store.DocumentStore.declare`."""
        with self._lock:
            before = self._live()
            of_tag = {field_of(tag): tag for tag in (*tags, *(keep or ())) if not not_a_tag(tag)}
            staying = {name: field for name, field in before.items() if keep is None or name in of_tag}
            chosen, refused = choose(tags, {of_tag.get(name, name) for name in staying}, max_labels)
            wanted = {field_of(tag): label_field(tag) for tag in chosen}
            live = self._put_template(before, staying | wanted)
            tried = self._put_fields(self._indices(), {name: field for name, field in wanted.items() if name in live})
            declared: list[str] = []
            full: set[str] = set()
            for tag in chosen:
                field = field_of(tag)
                outcomes = {index: _worst(outcome, field) for index, outcome in tried.items()}
                no_room = frozenset(index for index, outcome in outcomes.items() if outcome == "full")
                self._full.pop(tag, None)
                if no_room:
                    self._full[tag] = no_room
                if fault := _fault(tag, outcomes, in_template=field in live):
                    refused.append(fault)
                else:
                    declared.append(tag)
                    full |= no_room
            lost = {field_of(fault.tag) for fault in refused if fault.cause in ("conflict", "no_room")}
            if lost & live.keys():
                self._put_template(live, {name: field for name, field in live.items() if name not in lost})
        if full:
            _LOG.warning(
                "these indices have no room for another field, so their documents stay unscored: %s; raise their "
                "index.mapping.total_fields.limit",
                ", ".join(sorted(full)),
            )
        return Declared(tuple(declared), tuple(refused), tuple(sorted(full)))

    def labels(self) -> Labels:
        """Like :meth:`connectors.document_store.DocumentStore.labels`."""
        fields = {name: field for index in self._indices().values() for name, field in _labels_in(index).items()}
        return Labels(_tags(self._live()), _tags(fields))

    def _live(self) -> Fields:
        path = f"/_component_template/{self._template}"
        answer = ask(self._client, "name its labels", "GET", path, None, {})
        found = msgspec.json.decode(answer, type=_Components).component_templates if answer else []
        return dict(found[0].component_template.template.mappings.properties) if found else {}

    def _put_template(self, before: Fields, fields: Fields) -> Fields:
        """Put exactly these labels into the template, as far as it has room; those that are in it now."""
        if fields == before:
            return fields
        names = sorted(fields, key=lambda name: name not in before)
        # As many as fit: between those that are known to and one more than those that are not.
        fit, most = 0, len(names)
        attempt = most
        while True:
            try:
                self._put_component({name: fields[name] for name in names[:attempt]})
            except Rejected as error:
                if _FULL not in str(error) or not attempt:
                    raise StopJob(f"Elasticsearch does not take the labels' template: {error}") from None
                most = attempt - 1
            else:
                fit = attempt
            if fit == most == attempt:
                break
            attempt = (fit + most + 1) // 2
        if fit < len(names):
            _LOG.warning("the index template of %s has no room for %s", self._alias, ", ".join(names[fit:]))
        return {name: fields[name] for name in names[:fit]}

    def _put_component(self, fields: Fields) -> None:
        body = {"template": {"mappings": {"properties": fields}}, "_meta": {"managed_by": "groundswell"}}
        try:
            self._client.request("PUT", f"/_component_template/{self._template}", msgspec.json.encode(body))
        except TooLarge as error:
            raise StopJob(f"Elasticsearch does not take the labels' template: {error}") from None

    def _indices(self) -> dict[str, Fields]:
        """Of each index what it has of our fields."""
        names = (f"{CLASSIFICATION}*", TOPICS, _EVERYWHERE)
        options = {**READABLE, "filter_path": ",".join(f"*.mappings.properties.{name}" for name in names)}
        answer = ask(self._client, "name the fields", "GET", f"/{self._alias}/_mapping", None, options)
        found = msgspec.json.decode(answer, type=dict[str, _Index]) if answer else {}
        return {name: index.mappings.properties for name, index in found.items()}

    def _put_fields(self, indices: Mapping[str, Fields], wanted: Fields) -> dict[str, dict[str, _Outcome]]:
        """Give the indices what they lack, and what became of each field where that was not simply there."""
        tried: dict[str, dict[str, _Outcome]] = {}
        missing: dict[str, Fields] = {}
        for index, there in indices.items():
            tried[index] = {name: "conflict" for name, field in there.items() if not _fits(name, field)}
            lacking = {name: field for name, field in wanted.items() if name not in there}
            if lacking:
                ours = {name: properties()[name] for name in (TOPICS, _META) if name not in there}
                missing[index] = ours | lacking
        left = iter(missing)
        while some := list(islice(left, _AT_ONCE)):
            union = {name: field for index in some for name, field in missing[index].items()}
            # Together it is one change of the cluster's state.
            if len(some) == 1 or self._put_mapping(some, union) != "there":
                for index in some:
                    tried[index] |= self._put_apart(index, missing[index])
        return tried

    def _put_apart(self, index: str, fields: Fields) -> dict[str, _Outcome]:
        """Give one index as many of the fields as it takes."""
        outcome = self._put_mapping([index], fields)
        if outcome == "there":
            return {}
        if outcome == "closed" or len(fields) == 1:
            return dict.fromkeys(fields, outcome)
        return {name: self._put_mapping([index], {name: field}) for name, field in fields.items()}

    def _put_mapping(self, indices: Iterable[str], fields: Fields) -> _Outcome:
        body = msgspec.json.encode({"properties": fields})
        try:
            self._client.request("PUT", f"/{','.join(indices)}/_mapping", body)
        except Rejected as error:
            if error.status in (403, 404):
                return "closed"
            return "full" if _FULL in str(error) else "conflict"
        except TooLarge as error:
            raise StopJob(f"Elasticsearch does not take fields: {error}") from None
        return "there"


def _worst(outcomes: Mapping[str, _Outcome], field: str) -> _Outcome:
    """What became of a field in an index, or of those that go with every label."""
    return min((outcomes.get(name, "there") for name in (field, TOPICS, _META)), key=_WORST_FIRST.index)


def _fault(tag: str, outcomes: Mapping[str, _Outcome], *, in_template: bool) -> RefusedTag | None:
    """Why a tag cannot be scored and sorted by, if so."""
    wrong = sorted(index for index, outcome in outcomes.items() if outcome == "conflict")
    if wrong:
        said = f"{field_of(tag)}, {TOPICS} or {_META} is something else in {', '.join(wrong)}"
        return RefusedTag(tag, "conflict", f"{said}: take it out of the alias, or copy it into a new index")
    changeable = {outcome for outcome in outcomes.values() if outcome != "closed"}
    if not in_template or changeable == {"full"}:
        detail = "no index, or not the index template, has room for its field: raise index.mapping.total_fields.limit"
        return RefusedTag(tag, "no_room", detail)
    return None


def _fits(name: str, field: dict[str, Any]) -> bool:
    """Whether a field that is there can do what ours does."""
    if name == _EVERYWHERE:
        return True
    if name == _META:
        return field.get("type", "object") == "object" and field.get("enabled") is False
    return field.get("type") == ("keyword" if name == TOPICS else "float")


def _labels_in(fields: Fields) -> Fields:
    return {name: field for name, field in fields.items() if name.startswith(CLASSIFICATION) and name != _META}


def _tags(fields: Fields) -> tuple[str, ...]:
    """The tags of some fields; one that another hand has put goes by its name."""
    return tuple(sorted(_tag(name, field.get("meta", {})) for name, field in fields.items()))


def _tag(name: str, notes: Mapping[str, str]) -> str:
    return "".join(notes[key] for key in sorted(notes)) or name.removeprefix(CLASSIFICATION)
