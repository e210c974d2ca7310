"""What programs can ask: made from the OpenAPI document, so it is never out of date."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from broker.api.pages.page import Page

__all__ = ["PAGE"]


def _operations(app: FastAPI) -> dict[str, Any]:
    """Operations by tag, for the template."""
    document = app.openapi()
    groups: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for tag in operation.get("tags", []):
                groups.setdefault(tag, []).append({"path": path, "method": method.upper(), **operation})
    return {"groups": groups, "about": {tag["name"]: tag["description"] for tag in document["tags"]}}


PAGE = Page("/api", "api.html", "API", _operations)
