"""What a send node says to one contact."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.campaigns.graph import SendNode
from shared.campaigns.templates import render


@dataclass(frozen=True, slots=True)
class Content:
    """A rendered message; an SMS has only text."""

    subject: str
    text: str
    html: str | None


def context(
    contact: Mapping[str, Any], campaign: Mapping[str, Any], unsubscribe_url: str | None
) -> dict[str, Any]:
    """What templates can name.

        contact            email, phone, external_id, attributes
        campaign           name
        unsubscribe_url    mail of marketing campaigns

    A null is missing.
    """
    names = {
        "contact": {name: contact.get(name) for name in ("email", "phone", "external_id", "attributes")},
        "campaign": {"name": campaign.get("name")},
    }
    return names if unsubscribe_url is None else {**names, "unsubscribe_url": unsubscribe_url}


def content(node: SendNode, names: Mapping[str, Any]) -> Content:
    """The node's message for a `context`; raises as `templates.render` does."""
    return Content(
        # A line break in a subject could begin another header.
        subject=" ".join(render(node.subject or "", names).split()),
        text=render(node.text, names),
        html=render(node.html, names, html=True) if node.html is not None else None,
    )
