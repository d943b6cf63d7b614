"""Azure Monitor: rows going in through a data collection rule, and queries over tables."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from typing import Any

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.kql import QueryError, run
from quell_microsoft.simulator.state.clock import stamp
from quell_microsoft.simulator.state.registrations import LOG_READER, METRICS_PUBLISHER
from quell_microsoft.simulator.state.throttle import INGESTION, LOG_QUERIES
from quell_microsoft.simulator.state.workspaces import Workspace
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, as_objects, as_text

CALL_LIMIT = 1024 * 1024
STREAM = "/dataCollectionRules/{rule}/streams/{stream}"


def operations() -> list[Operation]:
    """List the routes."""
    query = "/v1/workspaces/{workspace}/query"
    return [
        Operation(
            api=Api.INGESTION, method="POST", template=STREAM, endpoint=ingest,
            limits=(INGESTION,), is_write=False,
        ),
        Operation(
            api=Api.LOGS, method="POST", template=query, endpoint=post_query,
            roles=(LOG_READER,), limits=(LOG_QUERIES,),
        ),
        Operation(
            api=Api.LOGS, method="GET", template=query, endpoint=get_query,
            roles=(LOG_READER,), limits=(LOG_QUERIES,),
        ),
    ]  # fmt: skip


def ingest(call: Call) -> Answer:
    """Take rows for a stream; 204 and no body."""
    if not call.query.get("api-version"):
        raise Refusal(400, "MissingApiVersionParameter", "The api-version is required.")
    rule, stream = call.parameters["rule"], call.parameters["stream"]
    if rule != call.tenant.dcr_immutable_id:
        text = f"Data collection rule with immutable Id '{rule}' not found."
        raise Refusal(404, "NotFound", text)
    if METRICS_PUBLISHER not in call.caller.grants.get(Api.INGESTION, ()):
        text = (
            "The authentication token provided does not have access to ingest data for the data "
            f"collection rule with immutable Id '{rule}' PipelineAccessResult: AccessGranted: "
            "False, IsRbacPresent: False, IsDcrDceBindingValid: True"
        )
        raise Refusal(403, "OperationFailed", text)
    collection = call.tenant.collection
    if not collection.has(stream):
        # Assumed: the wording is not documented
        raise Refusal(404, "NotFound", f"Stream '{stream}' was not found in the rule.")
    rows, now = _rows(call), stamp(call.tenant.clock.shown())
    kept = [collection.keep(stream, row, now) for row in rows if not _is_lost(call)]
    call.tenant.ingested.setdefault(stream, []).extend(kept)
    # the journal keeps the number only: the rows are in `ingested`
    call.tenant.ledger.record(
        app=call.caller.name,
        method=call.method,
        path=call.path,
        body={"rows": len(rows)},
        status=204,
    )
    return Answer(status=204)


def _is_lost(call: Call) -> bool:
    """204 does not prove that a row landed: transformations fail later, and nobody is told."""
    return random.random() * 100 < call.tenant.config.ingestion_loss_percent  # noqa: S311 - dice


def _rows(call: Call) -> list[Any]:
    if len(call.content) > CALL_LIMIT:
        raise _too_large()
    try:
        rows: Any = json.loads(_unzipped(call))
    except (ValueError, EOFError, OSError, zlib.error, RecursionError) as error:
        raise Refusal(400, "InvalidFormat", "The body is not valid JSON.") from error
    if not isinstance(rows, list) or len(as_objects(rows)) != len(rows):  # pyright: ignore[reportUnknownArgumentType]
        raise Refusal(400, "InvalidFormat", "The body must be an array of objects.")
    return as_objects(rows)  # pyright: ignore[reportUnknownArgumentType]


def _unzipped(call: Call) -> bytes:
    """Unpack the body without ever holding more than the limit."""
    if call.headers.get("content-encoding", "").casefold() != "gzip":
        return call.content
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    content = unpacker.decompress(call.content, CALL_LIMIT + 1)
    if len(content) > CALL_LIMIT:
        raise _too_large()
    if not unpacker.eof:
        raise gzip.BadGzipFile("The body ends early.")
    return content


def _too_large() -> Refusal:
    return Refusal(413, "ContentLengthLimitExceeded", "Maximum allowed content length: 1048576.")


def post_query(call: Call) -> Answer:
    """Answer a query sent in the body."""
    return _query(call, as_text(call.json_object().get("query")))


def get_query(call: Call) -> Answer:
    """Answer a query sent in the address."""
    return _query(call, call.query.get("query", ""))


def _query(call: Call, query: str) -> Answer:
    guid = call.parameters["workspace"].casefold()
    workspace = next((w for w in call.tenant.workspaces if w.guid == guid), None)
    if workspace is None:
        text = f"The workspace {guid} could not be found"
        raise Refusal(404, "WorkspaceNotFoundError", text)
    try:
        columns, rows = run(query, _tables(call, workspace))
    except QueryError as error:
        raise Refusal(400, "BadArgumentError", str(error), inner=error.code) from error
    table = {
        "name": "PrimaryResult",
        "columns": [{"name": name, "type": _type_of(name, rows)} for name in columns],
        "rows": [[_cell(row.get(name)) for name in columns] for row in rows],
    }
    return Answer(body={"tables": [table]})


def _tables(call: Call, workspace: Workspace) -> dict[str, list[Json]]:
    """Give the workspace's own tables and, in the first workspace, the ingested ones."""
    tables: dict[str, list[Json]] = {"SecurityIncident": [], "SecurityAlert": []}
    tables |= workspace.tables
    if workspace is call.tenant.workspaces[0]:
        for stream, rows in call.tenant.ingested.items():
            name = call.tenant.collection.table_of(stream)
            tables[name] = [*tables.get(name, []), *rows]
    return tables


def _cell(value: Any) -> Any:
    """Write a cell: dynamic values travel as JSON text."""
    return json.dumps(value) if isinstance(value, list | dict) else value


def _type_of(name: str, rows: list[Json]) -> str:
    value = next((row[name] for row in rows if row.get(name) is not None), "")
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "real"
    if isinstance(value, list | dict):
        return "dynamic"
    return "datetime" if name.endswith("Time") or name == "TimeGenerated" else "string"
