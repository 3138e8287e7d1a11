"""The committed form of the public contract: JSON Schemas, golden samples and the AsyncAPI document, kept true.

    python -m shared.contracts check     refuse what is stale, incompatible or unreadable (exit code 1)
    python -m shared.contracts write     write schemas, the list of samples and AsyncAPI from the models

`write` refuses an incompatible change, too: within a major version publishers and readers of different age must understand
each other (`shared/events/compatibility.py`). A type that was never released may change freely: delete its schema file and
its line in `golden/manifest.json`, then write again. Golden samples are written by hand, one file per type with a list of
`{"name", "data"}`; a sample that was once listed in the manifest stays and must be read for ever.
"""

import json
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.events import INBOUND_TOPICS, TOPICS, TYPES, Event, schema_uri
from shared.events.compatibility import incompatible_changes, inlined

SAMPLES_PER_TYPE = 3
CONTRACT_VERSION = "1.0.0"
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Contract:
    """The models and the files that must agree with them."""

    types: dict[str, type[Event]]
    schemas: Path
    golden: Path
    asyncapi: Path

    def schema_file(self, event_type: str) -> Path:
        """Return the file of a type's schema."""
        return self.schemas / f"{event_type}.json"

    def samples(self, event_type: str) -> list[dict[str, Any]]:
        """Return the golden samples of a type, none where there is no file."""
        file = self.golden / f"{event_type}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    @property
    def manifest_file(self) -> Path:
        """The list of samples that stay: type, name and SHA-256 of the data."""
        return self.golden / "manifest.json"

    def manifest(self) -> dict[str, dict[str, str]]:
        """Return the samples listed so far."""
        return json.loads(self.manifest_file.read_text(encoding="utf-8")) if self.manifest_file.exists() else {}


OURS = Contract(TYPES, _ROOT / "shared/events/schemas", _ROOT / "shared/events/golden", asyncapi=_ROOT / "docs/asyncapi.json")


def exported_schema(event: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) that publishers of a type keep to: closed, with units and limits."""
    schema = event.model_json_schema(by_alias=True)
    _close(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": schema_uri(event.TYPE),
        "title": event.__name__,
        "x-topic": event.TOPIC,
        "x-key": event.KEY,
        **schema,
    }


def _close(node: Any) -> None:
    """Close every object, and drop the titles that pydantic makes of field names."""
    if isinstance(node, list):
        for item in node:
            _close(item)
    elif isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        if "properties" in node:
            node["additionalProperties"] = False
        for item in node.values():
            _close(item)


def asyncapi(contract: Contract) -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of all topics and types."""
    carried = {name: [event for event in contract.types.values() if name == event.TOPIC] for name in TOPICS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Express CRM events",
            "version": CONTRACT_VERSION,
            "description": "CloudEvents 1.0 over Kafka in binary mode: the data is the record's value, attributes are "
            "headers `ce_*`. Publishers keep to the schemas, readers ignore fields and headers they do not know. Amounts "
            "are integer fen, instants RFC 3339 with an offset. No names, phones, addresses or free text.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            topic.name: {
                "address": topic.name,
                "description": f"{topic.about} Keyed by {topic.key}.",
                "messages": {event.TYPE: {"$ref": f"#/components/messages/{event.TYPE}"} for event in carried[topic.name]},
                "bindings": {"kafka": {"topic": topic.name, "partitions": topic.partitions}},
            }
            for topic in TOPICS.values()
        },
        "operations": {
            f"{'receive' if name in INBOUND_TOPICS else 'send'}.{name}": {
                "action": "receive" if name in INBOUND_TOPICS else "send",
                "channel": {"$ref": f"#/channels/{name}"},
                "messages": [{"$ref": f"#/channels/{name}/messages/{event.TYPE}"} for event in events],
            }
            for name, events in carried.items()
        },
        "components": {
            "messages": {name: _message(contract, event) for name, event in contract.types.items()},
            "schemas": {"inboundHeaders": _headers(inbound=True), "headers": _headers(inbound=False)},
        },
    }


def _message(contract: Contract, event: type[Event]) -> dict[str, Any]:
    payload = inlined(exported_schema(event))
    for keyword in ("$schema", "$id"):
        del payload[keyword]
    headers = "inboundHeaders" if event.TOPIC in INBOUND_TOPICS else "headers"
    return {
        "name": event.TYPE,
        "title": event.__name__,
        "summary": payload["description"].split("\n\n")[0].replace("\n", " "),
        "headers": {"$ref": f"#/components/schemas/{headers}"},
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": f"The {event.KEY}."}}},
        "examples": [{"name": sample["name"], "payload": sample["data"]} for sample in contract.samples(event.TYPE)],
    }


def _headers(inbound: bool) -> dict[str, Any]:
    attributes = {
        "ce_specversion": "Always 1.0.",
        "ce_id": "Id of the publication; the same fact published again has the same.",
        "ce_source": "Who published it.",
        "ce_type": "Type and major version of the event.",
        "ce_time": "Instant of publication, RFC 3339 with an offset"
        + ("; without it the record's timestamp is taken." if inbound else "."),
        "ce_sequence": "Whole number that rises per key; a lower one than seen is old news.",
        "ce_partitionkey": "The key of the record.",
        "ce_dataschema": "Name of the data's schema.",
        "ce_traceparent": "W3C trace context of the change.",
    }
    optional = {"ce_traceparent"} | ({"ce_time", "ce_sequence", "ce_partitionkey", "ce_dataschema"} if inbound else set())
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": description, **({"const": "1.0"} if name == "ce_specversion" else {})}
            for name, description in attributes.items()
        },
        "required": [name for name in attributes if name not in optional],
    }


def broken_promises(contract: Contract) -> list[str]:
    """Return what readers or publishers of another age would not survive, one sentence each."""
    found = []
    for file in sorted(contract.schemas.glob("*.json")):
        event = contract.types.get(file.stem)
        if event is None:
            found.append(f"{file.stem}: the type is gone; events of it remain and other services may read them")
        else:
            committed = json.loads(file.read_text(encoding="utf-8"))
            found += [f"{file.stem}: {change}" for change in incompatible_changes(committed, exported_schema(event))]
    for event_type, names in contract.manifest().items():
        now = _digests(contract.samples(event_type))
        found += [
            f"{event_type}: the golden sample {name!r} was changed or removed"
            for name, digest in names.items()
            if now.get(name) != digest
        ]
    for event_type, event in contract.types.items():
        found += [f"{event_type}: {problem}" for problem in _sample_problems(event, contract.samples(event_type))]
    return found


def _sample_problems(event: type[Event], samples: list[dict[str, Any]]) -> list[str]:
    """Every sample is read, and what we would publish of it is read as the same event."""
    if len(samples) < SAMPLES_PER_TYPE:
        return [f"has {len(samples)} golden samples, {SAMPLES_PER_TYPE} are needed"]
    found = []
    for sample in samples:
        try:
            read = event.model_validate_json(json.dumps(sample["data"]))
        except ValidationError as error:
            found.append(f"the golden sample {sample['name']!r} cannot be read: {error.errors()[0]['msg']}")
            continue
        if event.model_validate_json(read.to_bytes()) != read:
            found.append(f"the golden sample {sample['name']!r} changes when it is published again")
    return found


def _digests(samples: list[dict[str, Any]]) -> dict[str, str]:
    return {sample["name"]: sha256(json.dumps(sample["data"], sort_keys=True).encode()).hexdigest() for sample in samples}


def generated(contract: Contract) -> dict[Path, str]:
    """Return the text of every file that is made from the models and samples."""
    files = {contract.schema_file(name): exported_schema(event) for name, event in contract.types.items()}
    files[contract.manifest_file] = {name: _digests(contract.samples(name)) for name in contract.types}
    files[contract.asyncapi] = asyncapi(contract)
    return {file: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for file, content in files.items()}


def check(contract: Contract) -> list[str]:
    """Return all that is wrong with the committed contract, one sentence each: broken promises, then stale files."""
    stale = [
        f"{file.name} is stale: run python -m shared.contracts write"
        for file, text in generated(contract).items()
        if not file.exists() or file.read_text(encoding="utf-8") != text
    ]
    return broken_promises(contract) + stale


def write(contract: Contract) -> list[str]:
    """Write all generated files; where a promise would be broken write nothing and return what is wrong."""
    broken = broken_promises(contract)
    if not broken:
        for file, text in generated(contract).items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return broken


def main(arguments: list[str]) -> int:
    """Run `check` or `write` on the contract of this checkout; returns the exit code."""
    if arguments not in (["check"], ["write"]):
        sys.stderr.write("usage: python -m shared.contracts check|write\n")
        return 2
    problems = check(OURS) if arguments == ["check"] else write(OURS)
    for problem in problems:
        sys.stderr.write(problem + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
