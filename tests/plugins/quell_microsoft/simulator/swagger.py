"""Reads an Azure interface description and says what about a request or an answer breaks it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft4Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from quell_microsoft.simulator.odata import as_list

Json = dict[str, Any]
#: parameters of all of Azure, whose own file is not part of the description
COMMON = {
    "ApiVersionParameter": {"name": "api-version", "in": "query", "required": True},
    "SubscriptionIdParameter": {"name": "subscriptionId", "in": "path", "required": True},
    "ResourceGroupNameParameter": {"name": "resourceGroupName", "in": "path", "required": True},
}
_READ_ONLY = {"type": "string", "readOnly": True}
#: what the rest of that file says about every resource
COMMON_TYPES = {
    "definitions": {
        "Resource": {
            "type": "object",
            "properties": {
                "id": _READ_ONLY,
                "name": _READ_ONLY,
                "type": _READ_ONLY,
                "systemData": {"$ref": "#/definitions/systemData"},
            },
        },
        "systemData": {"type": "object", "readOnly": True},
    }
}
_COMMON_NAME = "common-types.json"
#: what the files are called while they are read: references need whole addresses
BASE = "https://description.invalid/"
_PLAIN = {"string": str, "integer": int, "boolean": bool}


@dataclass(frozen=True, slots=True)
class Described:
    """One operation: its path, its parameters and its answers by status."""

    method: str
    template: str
    pattern: re.Pattern[str]
    parameters: tuple[Mapping[str, Any], ...]
    answers: Mapping[str, Any]


class Swagger:
    """One description with the files that it refers to."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._files: dict[str, Any] = {_COMMON_NAME: COMMON_TYPES}
        self._root = self._load(name)
        resources = [
            (BASE + uri, Resource.from_contents(body, default_specification=DRAFT4))
            for uri, body in self._files.items()
        ]
        # their types are generic in something that only they know
        registry: Any = Registry
        self._registry: Any = registry().with_resources(resources)
        self.operations = list(self._operations())

    def find(self, method: str, path: str) -> tuple[Described, dict[str, str]] | None:
        """Find the operation that a request is one of, with what its path says."""
        for operation in self.operations:
            match = operation.pattern.fullmatch(path)
            if match is not None and operation.method == method:
                return operation, match.groupdict()
        return None

    def request_faults(
        self, method: str, path: str, query: Mapping[str, str], body: Any
    ) -> list[str]:
        """List what is wrong with a request; empty when it is as described."""
        found = self.find(method, path)
        if found is None:
            return [f"no operation {method} {path}"]
        operation, segments = found
        known = {one["name"].casefold(): one for one in operation.parameters}
        faults = [f"unknown option {name}" for name in query if name.casefold() not in known]
        given = {name.casefold(): value for name, value in (segments | dict(query)).items()}
        for name, parameter in known.items():
            if parameter["in"] == "body":
                faults += self._body_faults(parameter["schema"], body)
            elif name in given:
                faults += self._value_faults(parameter, given[name])
            elif parameter.get("required"):
                faults.append(f"{parameter['name']} is missing")
        if body is not None and not any(one["in"] == "body" for one in operation.parameters):
            faults.append("a body where none is described")
        return faults

    def answer_faults(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """List what is wrong with an answer; a status that is not described is wrong as well."""
        found = self.find(method, path)
        if found is None:
            return [f"no operation {method} {path}"]
        answers = found[0].answers
        described = answers.get(str(status)) or (answers.get("default") if status >= 400 else None)
        if described is None:
            return [f"status {status} is not described"]
        schema = described.get("schema")
        if schema is None:
            return [] if body is None else ["a body where none is described"]
        return self._errors(schema, body)

    def _operations(self) -> Iterator[Described]:
        for template, methods in self._root["paths"].items():
            escaped = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", escaped), re.IGNORECASE)
            for method, described in methods.items():
                parameters = tuple(self._parameter(one) for one in described["parameters"])
                answers = described["responses"]
                yield Described(method.upper(), template, pattern, parameters, answers)

    def _parameter(self, one: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = one.get("$ref")
        if reference is None:
            return one
        name = reference.rpartition("/")[2]
        if name in COMMON:
            return COMMON[name]
        parameter: Mapping[str, Any] = self._at(reference)
        return parameter

    def _body_faults(self, schema: Any, body: Any) -> list[str]:
        if body is None:
            return ["the body is missing"]
        return [*self._errors(schema, body), *self._unwritable(schema, body, "$")]

    def _value_faults(self, parameter: Mapping[str, Any], value: str) -> list[str]:
        kind = _PLAIN.get(parameter.get("type", "string"), str)
        schema = {
            key: parameter[key]
            for key in ("minLength", "maxLength", "minimum", "maximum", "pattern", "enum")
            if key in parameter
        }
        try:
            typed = kind(value)
        except ValueError:
            return [f"{parameter['name']} is no {parameter['type']}: {value!r}"]
        return [f"{parameter['name']}: {fault}" for fault in self._errors(schema, typed)]

    def _errors(self, schema: Any, body: Any) -> list[str]:
        checker: Any = Draft4Validator(
            schema, registry=self._registry, format_checker=FormatChecker()
        )
        errors = checker.iter_errors(_without_nulls(body))
        return [f"{error.json_path}: {error.message}" for error in errors]

    def _unwritable(self, schema: Any, body: Any, where: str) -> list[str]:
        """Name what is sent although it is read-only or not described at all."""
        if not isinstance(body, dict):
            return []
        declared = self._properties(schema)
        faults: list[str] = []
        for name, value in cast("Json", body).items():
            if name not in declared:
                faults.append(f"{where}.{name} is not described")
            elif declared[name].get("readOnly"):
                faults.append(f"{where}.{name} is read-only")
            elif self._properties(declared[name]):
                faults += self._unwritable(declared[name], value, f"{where}.{name}")
        return faults

    def _properties(self, schema: Any) -> dict[str, Any]:
        """Gather the properties of a schema and of all that it is made of."""
        resolved = self._resolved(schema)
        found: dict[str, Any] = {}
        for part in resolved.get("allOf", []):
            found |= self._properties(part)
        return {**found, **resolved.get("properties", {})}

    def _resolved(self, schema: Any) -> Any:
        reference = schema.get("$ref")
        if reference is None:
            return schema
        return self._resolved(self._at(reference))

    def _at(self, reference: str) -> Any:
        name, _, pointer = reference.removeprefix(BASE).partition("#")
        body = self._files[name]
        for part in pointer.strip("/").split("/"):
            body = body[part]
        return body

    def _load(self, name: str) -> Any:
        """Read a file and those it refers to; references become names in this folder."""
        if name not in self._files:
            body: Any = json.loads((self._folder / name).read_text(encoding="utf-8"))
            self._files[name] = body
            self._point(body, name)
        return self._files[name]

    def _point(self, value: Any, base: str) -> None:
        if isinstance(value, list):
            for item in as_list(value):
                self._point(item, base)
        elif isinstance(value, dict):
            found = cast("Json", value)
            found.pop("x-ms-examples", None)
            reference = found.get("$ref")
            if isinstance(reference, str) and reference.rpartition("/")[2] not in COMMON:
                uri, _, pointer = reference.partition("#")
                name = self._place(uri) if uri else base
                self._load(name)
                found["$ref"] = f"{BASE}{name}#{pointer}"
            for item in found.values():
                self._point(item, base)

    def _place(self, uri: str) -> str:
        """Find a file that is kept under another name than the one that is referred to."""
        if "/common-types/" in uri:
            return _COMMON_NAME
        version = re.search(r"/(\d\.\d)/types\.json$", uri)
        if version:
            return f"common/types.{version.group(1)}.json"
        stem = uri.rpartition("/")[2].removesuffix(".json")
        (found,) = (self._folder / "common").glob(f"{stem}.*.json")
        return f"common/{found.name}"


def _without_nulls(value: Any) -> Any:
    """Take null for absent, as Azure does: an owner who is nobody has four of them."""
    if isinstance(value, list):
        return [_without_nulls(item) for item in as_list(value)]
    if isinstance(value, dict):
        pairs = cast("Json", value).items()
        return {name: _without_nulls(item) for name, item in pairs if item is not None}
    return value
