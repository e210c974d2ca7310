"""What programs can ask: made from the OpenAPI document, so it is never out of date."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from broker.api.pages.page import Page

__all__ = ["PAGE"]


def _example(parameter: dict[str, Any]) -> Any:
    schema = parameter["schema"]
    given = parameter.get("example", (schema.get("examples") or [schema.get("default")])[0])
    return "" if given is None else given


def _operations(app: FastAPI) -> dict[str, Any]:
    """Operations by tag, for the template."""
    document = app.openapi()
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for tag in operation.get("tags", []):
                shown = [{**parameter, "example": _example(parameter)} for parameter in operation.get("parameters", [])]
                groups.setdefault(tag, []).append({**operation, "path": path, "method": method.upper(), "parameters": shown})
    return {"groups": groups, "about": {tag["name"]: tag["description"] for tag in document["tags"]}}


PAGE = Page("/api", "api.html", "API", _operations)
