"""Pages for people: Jinja2 templates and plain JavaScript modules, nothing from elsewhere and nothing to build.

To add a page, write a module beside this one with a ``PAGE`` (its address, the template of the same name under
``templates/``, and a title where the header is to link to it), and add it to `PAGES`. A page gets its data from the API, in a
module under ``static/js/``, so that whatever a page shows a program can have too.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from broker.api.pages import (
    account,
    alert,
    api,
    event,
    events,
    filters,
    home,
    one_filter,
    search,
    sky_object,
    subscriptions,
    watchlists,
)
from broker.api.pages.page import Page
from broker.api.services import Services

__all__ = ["PAGES", "install"]

PAGES = (
    home.PAGE,
    events.PAGE,
    filters.PAGE,
    one_filter.NEW,
    one_filter.PAGE,
    watchlists.PAGE,
    subscriptions.PAGE,
    alert.PAGE,
    event.PAGE,
    sky_object.PAGE,
    search.PAGE,
    api.PAGE,
    account.LOGIN,
    account.PAGE,
)
HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def install(app: FastAPI, services: Services) -> None:
    """Serve the pages and their files."""
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    links = [page for page in PAGES if page.title]
    environment.globals |= {"version": services.version, "links": links, "static": lambda name: f"/static/{name}"}
    for page in PAGES:
        _serve(app, environment, page)


def _serve(app: FastAPI, environment: Environment, page: Page) -> None:
    template = environment.get_template(page.template)

    def show(request: Request) -> Response:
        html = template.render(here=page.path, params=request.path_params, **page.context(app))
        return Response(html, media_type="text/html", headers=HEADERS)

    app.add_api_route(page.path, show, include_in_schema=False, name=f"page:{page.template}")
