"""The JSON Schema of query files is made from the Structs that read them, and says of files what they say.

`python tests/test_query_schema.py` writes it anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest
import yaml

from graphsec.query import _saved
from graphsec.query._asks import Parameters
from graphsec.query._params import Parameter
from graphsec.render._schemas import schema

FILE = Path(__file__).parents[1] / "graphsec" / "data" / "schemas" / "query.json"
QUERIES = _saved.load_queries([_saved.builtin_directory()])


def made() -> dict[str, Any]:
    """One object for each ``ask``: the common keys and its own, and no others."""
    asks = get_args(Parameters)
    (own, parameter, *asked), defs = msgspec.json.schema_components(
        [_saved.SavedQuery, Parameter, *asks], ref_template="#/$defs/{name}"
    )
    own, parameter, *asked = (defs.pop(found["$ref"].rpartition("/")[2]) for found in (own, parameter, *asked))
    defs.pop("Source")
    del parameter["properties"]["name"]
    parameter["required"].remove("name")
    common = {name: found for name, found in own["properties"].items() if name in _saved._OWN_KEYS}
    defs = {**defs, "Parameter": parameter}
    params = {"type": "object", "additionalProperties": {"$ref": "#/$defs/Parameter"}}
    required = [name for name in own["required"] if name in common]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A saved query of graphsec",
        "oneOf": [
            {
                "title": found["properties"]["ask"]["enum"][0],
                "description": _plain(found["description"]),
                "type": "object",
                "properties": {**common, "params": params, **found["properties"]},
                "required": [*required, *found["required"]],
                "additionalProperties": False,
            }
            for found in asked
        ],
        "$defs": {name: {**found, "description": _plain(found["description"])} for name, found in sorted(defs.items())},
    }


def _plain(docstring: str) -> str:
    return " ".join(docstring.replace("``", "`").split())


def written() -> str:
    return json.dumps(made(), indent=2, ensure_ascii=False) + "\n"


def test_the_schema_is_what_the_structs_say() -> None:
    assert FILE.read_text(encoding="utf-8") == written(), f"python {Path(__file__).name}"
    assert schema("query") == written()
    jsonschema.Draft202012Validator.check_schema(made())


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.id)
def test_a_query_that_loads_is_valid_and_one_with_a_misspelt_key_is_not(query: _saved.SavedQuery) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))
    document = yaml.safe_load(query.text)
    assert list(validator.iter_errors(document)) == []
    assert list(validator.iter_errors({**document, "titel": "x"}))
    assert list(validator.iter_errors({key: value for key, value in document.items() if key != "ask"}))


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
