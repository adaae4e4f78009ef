"""The API's reference: OpenAPI as JSON, and a page made of it that needs no script and no other host."""

import json
import re
from collections import defaultdict
from collections.abc import Container, Iterator
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from litestar import Litestar, Request
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Parameter,
    Reference,
    Schema,
    SecurityScheme,
)
from litestar.router import Router
from pydantic.json_schema import models_json_schema

from services.gateway.api.shapes import Shape
from services.gateway.callers import ANYBODY
from services.gateway.transactions import MOST_KEY, WITHOUT_TRANSACTION

_ABOUT = (
    "JSON in camelCase. Every call carries an API key: Authorization: Bearer <key>. A POST may carry an "
    "Idempotency-Key: the same request gets the same answer for 24 hours. A refusal is "
    '{"error", "message", "path"?}; a list goes on at ?after=<next>.'
)

_IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    param_in="header",
    description="The same key with the same request gets the same answer, with another request 422.",
    schema=Schema(type=OpenAPIType.STRING, min_length=1, max_length=MOST_KEY),
)
# As pydantic and litestar name what is generic: Listed[Sender] is Listed_Sender_.
_PLAIN = re.compile(r"[^A-Za-z0-9_.-]")


def config() -> OpenAPIConfig:
    """Serves the page at /schema and the JSON at /schema/openapi.json, to everybody."""
    return OpenAPIConfig(
        title="outreach",
        version="1",
        description=_ABOUT,
        components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
        use_handler_docstrings=True,
        render_plugins=[_Page(path="/")],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            opt={ANYBODY: True, WITHOUT_TRANSACTION: True},
        ),
    )


def describe(app: Litestar) -> None:
    """Have the document say what is so: the shapes as pydantic checks them, every refusal, a POST's key.

    Litestar's own account of shapes leaves bounds out, and takes an object for a list.
    """
    document = app.openapi_schema
    schemas: dict[str, Any] = document.components.schemas
    schemas |= _schemas(schemas)
    problem = OpenAPIResponse(
        description="A refusal.",
        content={"application/json": OpenAPIMediaType(Reference("#/components/schemas/Problem"))},
    )
    for path in (document.paths or {}).values():
        for operation in (path.get, path.put, path.post, path.delete):
            if operation is not None and operation.responses is not None:
                operation.responses.pop("400", None)
                operation.responses["default"] = problem
        if path.post is not None:
            path.post.parameters = [*(path.post.parameters or ()), _IDEMPOTENCY_KEY]


def _schemas(known: Container[str]) -> dict[str, Any]:
    """The schemas of the shapes that the document knows, and of what they are made of."""
    shapes = [shape for shape in _kinds(Shape) if _PLAIN.sub("_", shape.__name__) in known]
    _, described = models_json_schema(
        [(shape, "validation") for shape in shapes], ref_template="#/components/schemas/{model}"
    )
    schemas: dict[str, Any] = described["$defs"]
    return schemas


def _kinds(shape: type[Shape]) -> Iterator[type[Shape]]:
    for kind in shape.__subclasses__():
        yield kind
        yield from _kinds(kind)


class _Page(OpenAPIRenderPlugin):
    """The page."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The whole reference as HTML."""
        document = json.loads(self.render_json(request, openapi_schema))
        environment = Environment(autoescape=True, undefined=StrictUndefined)
        template = environment.from_string(
            files(__package__).joinpath("reference.html").read_text(encoding="utf-8")
        )
        page = template.render(
            info=document["info"],
            json_url=self.get_openapi_json_route(request),
            groups=_groups(document),
            schemas=sorted(document["components"]["schemas"].items()),
        )
        return page.encode()


def _groups(schema: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(
                {
                    "method": method,
                    "path": path,
                    "about": operation.get("description", ""),
                    "parameters": operation.get("parameters", []),
                    "bodies": list(_bodies(operation)),
                }
            )
    return list(groups.items())


def _bodies(operation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What goes in and what comes out, each with its title."""
    parts = {"Request": operation.get("requestBody", {}), **operation["responses"]}
    for title, part in parts.items():
        for media in part.get("content", {}).values():
            yield f"{title} {part.get('description', '')}".strip(), media["schema"]
