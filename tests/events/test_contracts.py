"""The committed contract agrees with the models, and a change that readers of another age would not survive is refused."""

import json
import re
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import jsonschema_rs
import pytest
from pydantic import Field, create_model

from shared.contracts import OURS, Contract, asyncapi, check, exported_schema, main, write
from shared.events import INBOUND_TOPICS, TOPICS, TYPES, Event, FreightCharged
from shared.events.compatibility import incompatible_changes, inlined
from shared.ids import natural_id, natural_id_text

SHIPMENT = exported_schema(TYPES["shipment.status-changed.v1"])
TICKET = exported_schema(TYPES["ticket.opened.v1"])
ACCOUNT = exported_schema(TYPES["customer.account-opened.v1"])


def test_what_is_committed_is_what_the_models_say() -> None:
    assert check(OURS) == []
    assert main(["check"]) == 0


def test_a_wrong_command_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["improve"]) == 2
    assert "check|write" in capsys.readouterr().err


@pytest.mark.parametrize("event_type", TYPES)
def test_golden_samples_are_read_and_published_again_within_the_closed_schema(event_type: str) -> None:
    event, samples = TYPES[event_type], OURS.samples(event_type)
    schema = jsonschema_rs.validator_for(exported_schema(event))
    assert len(samples) >= 3
    for sample in samples:
        schema.validate(sample["data"])
        read = event.model_validate_json(json.dumps(sample["data"]))
        schema.validate(json.loads(read.to_bytes()))
        assert event.model_validate_json(read.to_bytes()) == read
        assert read.event_id == natural_id(event_type, *read.identity()), "no part of an identity needs quoting"
        assert read.key() == str(json.loads(read.to_bytes())[event.KEY])
        assert event.model_validate_json(json.dumps({**sample["data"], "brand_new": 1})) == read
        with pytest.raises(jsonschema_rs.ValidationError):
            schema.validate({**sample["data"], "brand_new": 1})


@pytest.mark.parametrize("event_type", [name for name, event in TYPES.items() if event.TOPIC not in INBOUND_TOPICS])
def test_our_own_samples_are_published_again_to_the_byte(event_type: str) -> None:
    for sample in OURS.samples(event_type):
        read = TYPES[event_type].model_validate_json(json.dumps(sample["data"]))
        assert without_new_nulls(json.loads(read.to_bytes()), sample["data"]) == sample["data"]


def without_new_nulls(published: Any, sample: Any) -> Any:
    """Return what is published without the optional fields that came after the sample was written."""
    if not isinstance(published, dict) or not isinstance(sample, dict):
        return published
    return {
        name: without_new_nulls(value, sample.get(name))
        for name, value in published.items()
        if name in sample or value is not None
    }


def test_every_type_lies_on_a_topic_that_exists_and_says_its_version() -> None:
    for name, event in TYPES.items():
        assert event.TOPIC in TOPICS
        assert re.search(r"\.v[1-9]$", name)
    assert set(TOPICS) == {event.TOPIC for event in TYPES.values()}
    assert set(TOPICS) >= INBOUND_TOPICS


def properties(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["properties"]
    return found


def require(schema: dict[str, Any], field: str) -> None:
    schema["required"].append(field)


def add_field(schema: dict[str, Any], name: str, required: bool) -> None:
    properties(schema)[name] = {"type": "string"}
    if required:
        require(schema, name)


def drop_field(schema: dict[str, Any], name: str) -> None:
    del properties(schema)[name]
    if name in schema["required"]:
        schema["required"].remove(name)


def rename_field(schema: dict[str, Any]) -> None:
    properties(schema)["parcels"] = properties(schema).pop("pieces")
    schema["required"] = [{"pieces": "parcels"}.get(name, name) for name in schema["required"]]


INCOMPATIBLE = {
    "a new required field": (SHIPMENT, lambda s: add_field(s, "courier_no", required=True), "courier_no is new and required"),
    "a required field removed": (SHIPMENT, lambda s: drop_field(s, "status"), "status was required and is gone"),
    "an optional field now required": (SHIPMENT, lambda s: require(s, "promised_at"), "promised_at is now required"),
    "a required field now optional": (SHIPMENT, lambda s: s["required"].remove("pieces"), "pieces is no longer required"),
    "another type": (SHIPMENT, lambda s: properties(s)["pieces"].update(type="string"), "pieces: type changed"),
    "a whole number becomes any number": (SHIPMENT, lambda s: properties(s)["pieces"].update(type="number"), "pieces: type"),
    "a value removed": (TICKET, lambda s: properties(s)["class"]["enum"].remove("quote"), '"quote" was removed'),
    "a value added to a closed list": (TICKET, lambda s: properties(s)["class"]["enum"].append("praise"), '"praise" is new'),
    "a known value removed": (SHIPMENT, lambda s: properties(s)["status"]["x-known-values"].remove("LOST"), '"LOST" was removed'),
    "a text narrowed to a list": (SHIPMENT, lambda s: properties(s)["status"].update(enum=["CREATED"]), "allowed values is new"),
    "a pattern tightened": (SHIPMENT, lambda s: properties(s)["waybill_no"].update(pattern="^[0-9]+$"), "waybill_no: pattern"),
    "a limit tightened": (SHIPMENT, lambda s: properties(s)["pieces"].update(maximum=99), "pieces: maximum changed"),
    "a limit loosened": (SHIPMENT, lambda s: properties(s)["pieces"].update(minimum=0), "pieces: minimum changed from 1 to 0"),
    "a new limit": (SHIPMENT, lambda s: properties(s)["pieces"].update(multipleOf=2), "multipleOf changed from nothing to 2"),
    "a longest length shortened": (SHIPMENT, lambda s: properties(s)["status"].update(maxLength=20), "status: maxLength"),
    "null no longer allowed": (
        SHIPMENT,
        lambda s: properties(s).update(account_no=properties(s)["account_no"]["anyOf"][0]),
        "account_no: ",
    ),
    "null now allowed": (
        SHIPMENT,
        lambda s: properties(s).update(pieces={"anyOf": [properties(s)["pieces"], {"type": "null"}]}),
        "pieces: ",
    ),
    "a pattern tightened beside null": (
        SHIPMENT,
        lambda s: properties(s)["account_no"]["anyOf"][0].update(pattern="^[0-9]+$"),
        "account_no: pattern",
    ),
    "a limit tightened in a part": (
        SHIPMENT,
        lambda s: s["$defs"]["Origin"]["properties"]["city"].update(maxLength=3),
        "origin.city: maxLength",
    ),
    "a new required field in a list's items": (
        ACCOUNT,
        lambda s: add_field(s["$defs"]["Membership"], "to_on", required=True),
        "memberships[].to_on is new and required",
    ),
    "another format": (SHIPMENT, lambda s: properties(s)["occurred_at"].update(format="date"), "occurred_at: format"),
    "a renamed field": (SHIPMENT, rename_field, "pieces was required and is gone"),
    "another topic": (SHIPMENT, lambda s: s.update({"x-topic": "parcel.events"}), "x-topic"),
    "another key": (SHIPMENT, lambda s: s.update({"x-key": "account_no"}), "x-key"),
    "an open object": (SHIPMENT, lambda s: s.update(additionalProperties=True), "additionalProperties"),
}

COMPATIBLE = {
    "a new optional field": (SHIPMENT, lambda s: add_field(s, "courier_no", required=False)),
    "an optional field removed": (SHIPMENT, lambda s: drop_field(s, "goods_value_fen")),
    "a new optional field in a part": (SHIPMENT, lambda s: add_field(s["$defs"]["Destination"], "outlet", required=False)),
    "a new optional field in a list's items": (ACCOUNT, lambda s: add_field(s["$defs"]["Membership"], "to_on", required=False)),
    "other words": (SHIPMENT, lambda s: properties(s)["pieces"].update(description="Pieces.", examples=[1])),
    "a new known value of an open list": (SHIPMENT, lambda s: properties(s)["status"]["x-known-values"].append("SORTED")),
    "another order": (
        SHIPMENT,
        lambda s: s.update(properties=dict(reversed(s["properties"].items())), required=s["required"][::-1]),
    ),
    "a part under another name": (
        SHIPMENT,
        lambda s: (
            s["$defs"].update(Sender=s["$defs"].pop("Origin")),
            properties(s)["origin"].update({"$ref": "#/$defs/Sender"}),
        ),
    ),
}


@pytest.mark.parametrize("change", INCOMPATIBLE)
def test_an_incompatible_change_is_refused(change: str) -> None:
    old, apply, says = INCOMPATIBLE[change]
    new = deepcopy(old)
    apply(new)
    found = incompatible_changes(old, new)
    assert any(says in sentence for sentence in found), found


@pytest.mark.parametrize("change", COMPATIBLE)
def test_a_compatible_change_passes(change: str) -> None:
    old, apply = COMPATIBLE[change]
    new = deepcopy(old)
    apply(new)
    assert new != old or json.dumps(new) != json.dumps(old)
    assert incompatible_changes(old, new) == []


def test_enough_changes_are_seeded() -> None:
    assert len(INCOMPATIBLE) >= 10
    assert len(COMPATIBLE) >= 5


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    """A copy of the contract's files."""
    shutil.copytree(OURS.schemas, tmp_path / "schemas")
    shutil.copytree(OURS.golden, tmp_path / "golden")
    shutil.copy(OURS.asyncapi, tmp_path / "asyncapi.json")
    copied = Contract(dict(TYPES), tmp_path / "schemas", tmp_path / "golden", tmp_path / "asyncapi.json")
    assert check(copied) == []
    return copied


def another_freight_charged(**fields: Any) -> type[Event]:
    model = create_model("FreightCharged", __base__=FreightCharged, **fields)
    model.__doc__ = FreightCharged.__doc__
    return model


def test_write_refuses_a_model_that_breaks_a_promise_and_leaves_the_files_alone(contract: Contract) -> None:
    charge = another_freight_charged(currency=(str, Field(description="Currency.")))
    changed = replace(contract, types={**TYPES, charge.TYPE: charge})
    before = contract.schema_file(charge.TYPE).read_bytes()
    assert "freight.charged.v1: the event.currency is new and required" in write(changed)
    assert contract.schema_file(charge.TYPE).read_bytes() == before


def test_a_compatible_change_is_stale_until_it_is_written(contract: Contract) -> None:
    charge = another_freight_charged(currency=(str | None, Field(default=None, description="Currency.")))
    changed = replace(contract, types={**TYPES, charge.TYPE: charge})
    assert {problem.split()[0] for problem in check(changed)} == {"freight.charged.v1.json", "asyncapi.json"}
    assert write(changed) == []
    assert check(changed) == []


def test_a_type_that_is_gone_is_refused(contract: Contract) -> None:
    fewer = {name: event for name, event in TYPES.items() if name != "ticket.refuted.v1"}
    assert any("ticket.refuted.v1: the type is gone" in problem for problem in write(replace(contract, types=fewer)))


def test_a_golden_sample_stays_as_it_was(contract: Contract) -> None:
    file = contract.golden / "freight.charged.v1.json"
    samples = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps([{**samples[0], "data": {**samples[0]["data"], "amount_fen": 5}}, *samples[1:]]), encoding="utf-8")
    assert write(contract) == [f"freight.charged.v1: the golden sample {samples[0]['name']!r} was changed or removed"]
    file.write_text(json.dumps(samples[1:]), encoding="utf-8")
    assert write(contract) == [f"freight.charged.v1: the golden sample {samples[0]['name']!r} was changed or removed"]


def test_a_reader_that_cannot_read_an_old_sample_is_refused(contract: Contract) -> None:
    class Choosy(FreightCharged):
        __doc__ = FreightCharged.__doc__
        TYPE: ClassVar[str] = "freight.charged.v1"

        def model_post_init(self, _context: Any) -> None:
            if self.amount_fen == 0:
                raise ValueError("no cancellations")

    problems = write(replace(contract, types={**TYPES, "freight.charged.v1": Choosy}))
    assert any("cannot be read" in problem for problem in problems)


def test_a_type_needs_samples(contract: Contract) -> None:
    class Refunded(FreightCharged):
        """A charge was paid back."""

        TYPE: ClassVar[str] = "freight.refunded.v1"

    problems = check(replace(contract, types={**TYPES, "freight.refunded.v1": Refunded}))
    assert "freight.refunded.v1: has 0 golden samples, 3 are needed" in problems
    assert "freight.refunded.v1.json is stale: run python -m shared.contracts write" in problems


def test_asyncapi_holds_every_type_on_its_topic_and_every_reference_leads_somewhere() -> None:
    document = asyncapi(OURS)
    assert document["asyncapi"].startswith("3.0")
    assert set(document["channels"]) == set(TOPICS)
    assert {name for channel in document["channels"].values() for name in channel["messages"]} == set(TYPES)

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                target: Any = document
                for part in node["$ref"].removeprefix("#/").split("/"):
                    target = target[part]
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(document)
    for name, message in document["components"]["messages"].items():
        payload = jsonschema_rs.validator_for(message["payload"])
        for example in message["examples"]:
            payload.validate(example["payload"])
        assert "$ref" not in json.dumps(inlined(exported_schema(TYPES[name])))


def test_fields_hold_no_person() -> None:
    """No names, phones, addresses or free text on the bus: every text field has a pattern, a list or a short limit."""

    def texts(node: dict[str, Any]) -> list[dict[str, Any]]:
        here = [node] if node.get("type") == "string" else []
        for child in [
            *node.get("properties", {}).values(),
            *node.get("anyOf", []),
            *([node["items"]] if "items" in node else []),
        ]:
            here += texts(child)
        return here

    for event in TYPES.values():
        schema = inlined(exported_schema(event))
        for text in texts(schema):
            assert {"pattern", "enum", "const", "maxLength", "format"} & text.keys(), (event.TYPE, text)
            assert text.get("maxLength", 0) <= 80


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind.startswith(("shipment.", "freight."))])
def test_what_is_written_by_hand_for_speed_is_what_pydantic_writes(kind: str) -> None:
    for sample in OURS.samples(kind):
        event = TYPES[kind].model_validate_json(json.dumps(sample["data"]))
        assert event.to_bytes() == event.__pydantic_serializer__.to_json(event, by_alias=True)
        assert natural_id_text(kind, *event.identity()) == str(event.event_id)
