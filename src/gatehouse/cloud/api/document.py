"""The OpenAPI document: what ninja knows of the schemas, and what the manners add to every operation."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template import loader
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from gatehouse.cloud.api.manners import LIMITS, WRITING, Manner

REFUSALS: tuple[type[Exception], ...] = (Http404, HttpError, ValidationError)

INTRODUCTION = f"""Everything below asks for a token (`Authorization: Bearer gh_...`), made by a user for named sites and scopes.
A token never may more than its maker may at that moment. A foreign site or id is 404, in bodies too.

Refusals are `application/problem+json` with a stable `code`, `errors` that point to fields, and the `request_id` of the log.
Bodies are JSON objects; a field or parameter that is not named here is refused.

Lists are pages of at most 200: go on with `cursor` = `next` of the page before. A cursor neither skips nor repeats
when rows are added meanwhile.

A writing call may carry an `Idempotency-Key`: within 24 hours the same call gets the first answer again, also while the first
is still running; another call with the same key is refused.

Limits, for a token and for an address: {LIMITS["read"]} reads, {LIMITS["write"]} writes and {LIMITS["open"]} door openings a minute;
`RateLimit-Remaining` says what is left, `Retry-After` how long to wait.
"""

_ID = "0195b4c2-7d3e-7a41-9c55-2f6b8e0d1a34"
_VALUES: dict[str, Any] = {
    "date-time": "2026-11-21T09:00:00Z",
    "uuid": _ID,
    "kind": "office",
    "name": "Kontorhaus Nordkai",
    "zone": "Europe/Berlin",
    "language": "en",
    "state": "live",
    "via": "api",
    "verb": "relay.open",
    "method": "pin",
    "reason": "granted",
    "clock": "set",
    "code": "K3QH7ZJ2WMX5T6RA4BNC",
    "source": "manual",
    "next": "MDE5NWI0YzItN2QzZS03YTQxLTljNTUtMmY2YjhlMGQxYTM0",
}

_PROBLEMS: dict[int, tuple[str, str]] = {
    400: ("request.unreadable", "Gatehouse could not read this request."),
    401: ("token.invalid", "Send a token that is live: it may be unknown, expired or revoked."),
    403: ("denied", "You may not do this here."),
    404: ("not_found", "This does not exist, or not any more."),
    409: ("person.taken", "Another person of this site has this."),
    412: ("version.stale", "It was changed meanwhile. Read it again."),
    413: ("request.too_large", "A request may have one million bytes."),
    422: ("request.invalid", "Some fields need another look."),
    428: ("version.missing", "Send If-Match with the ETag of what you saw."),
    429: ("rate.limited", "Too many calls in this minute."),
    500: ("broken", "This is our fault. Nothing was changed."),
    503: ("device.offline", "The door cannot be reached at the moment. It was not opened."),
}
_MEANS = {
    400: "Unreadable: no JSON, a NUL, too deep",
    401: "No live token",
    403: "Not within the token's rights",
    404: "Not there, or not within reach",
    409: "Something stands in the way",
    412: "Changed meanwhile",
    413: "Too large",
    422: "Does not fit",
    428: "If-Match is missing",
    429: "Too fast",
    500: "Our fault",
    503: "Not at the moment; trying again has sense",
}


@cache
def built(api: NinjaAPI) -> dict[str, Any]:
    """The whole document, as it is kept in `docs/api/openapi.json`."""
    made: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/v1/"), default=str))
    schemas = made["components"]["schemas"]
    schemas["Problem"] = _problem_schema()
    made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"token": []}]
    manners = _manners(api)
    for address, operations in made["paths"].items():
        for method, operation in operations.items():
            manner, name = manners[operation["operationId"]]
            operation["operationId"] = name
            operation["description"] = f"{operation.get('description', '')}\n\nScope: `{manner.right.value}`.".strip()
            _add_parameters(operation, manner, method)
            _add_answers(operation, manner, method, address, schemas)
    return made


def _manners(api: NinjaAPI) -> dict[str, tuple[Manner, str]]:
    found = {}
    for _prefix, router in api._routers:
        for view in router.path_operations.values():
            for operation in view.operations:
                function: Any = operation.view_func
                found[api.get_openapi_operation_id(operation)] = (function.manner, function.__name__)
    return found


def _add_parameters(operation: dict[str, Any], manner: Manner, method: str) -> None:
    for parameter in operation["parameters"]:
        parameter["example"] = _example(parameter["schema"], parameter["name"], {})
    if method.upper() in WRITING:
        operation["parameters"].append(
            {
                "in": "header",
                "name": "Idempotency-Key",
                "required": False,
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
                "description": "Any text of your own; see above.",
                "example": "order-4711",
            }
        )
    if manner.versioned:
        operation["parameters"].append(
            {
                "in": "header",
                "name": "If-Match",
                "required": True,
                "schema": {"type": "string"},
                "description": "The ETag of what you saw.",
                "example": '"3"',
            }
        )


def _add_answers(operation: dict[str, Any], manner: Manner, method: str, address: str, schemas: dict[str, Any]) -> None:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        body["example"] = _example(body["schema"], "", schemas)
    for response in operation["responses"].values():
        content = response["content"]["application/json"]
        content["example"] = _example(content["schema"], "", schemas)
        response["headers"] = {"RateLimit-Remaining": {"schema": {"type": "integer"}}}
        if manner.versioned or (method == "get" and address.endswith("}")):
            response["headers"]["ETag"] = {"schema": {"type": "string"}}
    statuses = [400, 401, 403, 404, 422, 429, 500]
    if method.upper() in WRITING:
        statuses += [409]
    if body:
        statuses += [413]
    if manner.versioned:
        statuses += [412, 428]
    if address.endswith("/open"):
        statuses += [503]
    for status in sorted(statuses):
        code, detail = _PROBLEMS[status]
        operation["responses"][str(status)] = {
            "description": _MEANS[status],
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": {
                        "type": f"/api/v1/#{code}",
                        "title": _MEANS[status],
                        "status": status,
                        "code": code,
                        "detail": detail,
                        "request_id": _ID,
                    },
                }
            },
        }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "title": "Problem",
        "type": "object",
        "required": ["type", "title", "status", "code", "detail", "request_id"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "code": {"type": "string", "description": "Stable; for machines."},
            "detail": {"type": "string", "description": "For people, in the language of Accept-Language."},
            "request_id": {"type": "string", "description": "Finds the request in the log."},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "pointer": {"type": "string", "description": "JSON pointer into the body."},
                        "parameter": {"type": "string", "description": "Name in the path or the query."},
                        "detail": text,
                    },
                },
            },
        },
    }


def _example(schema: dict[str, Any], name: str, schemas: dict[str, Any]) -> Any:
    """A value that fits a schema; the schema's own example where it has one."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rsplit("/", 1)[-1]], name, schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], name, schemas)
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {key: _example(part, key, schemas) for key, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_example(schema["items"], name, schemas)]
    if kind in ("integer", "number"):
        return schema.get("default", 3)
    if kind == "boolean":
        return True
    if name in _VALUES:
        return _VALUES[name]
    return _VALUES.get(schema.get("format", ""), "")


def serve(api: NinjaAPI) -> Callable[[HttpRequest], HttpResponse]:
    """The document as JSON."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(json.dumps(built(api), ensure_ascii=False), content_type="application/json")

    return view


def page(api: NinjaAPI) -> Callable[[HttpRequest], HttpResponse]:
    """The reference, for reading: made of the document, nothing else, without any script."""

    def view(request: HttpRequest) -> HttpResponse:
        made = built(api)
        groups: dict[str, list[dict[str, Any]]] = {}
        for address, operations in made["paths"].items():
            for method, operation in operations.items():
                groups.setdefault(operation["tags"][0], []).append(_shown(address, method, operation))
        introduction = [part.strip() for part in INTRODUCTION.split("\n\n")]
        context = {"groups": groups, "introduction": introduction}
        return HttpResponse(loader.render_to_string("api/reference.html", context, request))

    return view


def _shown(address: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    answers = []
    for status, response in operation["responses"].items():
        (content,) = response["content"].values()
        answers.append({"status": status, "means": response["description"], "example": _pretty(content["example"])})
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "address": address,
        "summary": operation["summary"],
        "description": operation["description"],
        "parameters": operation["parameters"],
        "body": _pretty(body["example"]) if body else "",
        "answers": answers,
    }


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
