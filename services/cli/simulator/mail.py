"""The body of a mail-send request, checked as SendGrid's v3 API documents it."""

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

ACTION, NODE = "outreach_action", "outreach_node"
RESERVED_HEADERS = frozenset(
    {
        *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"),
        *("to", "from", "subject", "reply-to", "cc", "bcc"),
    }
)
RANKS = {"text/plain": 0, "text/html": 1}


@dataclass(frozen=True, slots=True)
class Message:
    """One recipient's copy; `arguments` are the custom arguments that its events will carry."""

    recipient: str
    arguments: dict[str, str]
    categories: tuple[str, ...]

    @property
    def action(self) -> str | None:
        """The sender's name for this send."""
        return self.arguments.get(ACTION)

    @property
    def node(self) -> str | None:
        """The campaign's node that this is a send of."""
        return self.arguments.get(NODE)


class MailRefused(Exception):
    """The body is not what SendGrid takes; `field` names the place."""

    def __init__(self, message: str, field: str | None) -> None:
        super().__init__(message)
        self.field = field


def parse(body: bytes) -> list[Message]:
    """The messages of a mail-send body; MailRefused says what SendGrid would not take."""
    try:
        mail = _Mail.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise MailRefused(message, ".".join(map(str, first["loc"])) or None) from error
    return [
        Message(address.email, mail.custom_args | personal.custom_args, tuple(mail.categories))
        for personal in mail.personalizations
        for address in personal.to
    ]


def _address(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", value):
        raise ValueError("Does not contain a valid address.")
    return value


def _arguments(value: dict[str, str]) -> dict[str, str]:
    if sum(len(f"{name}{text}".encode()) for name, text in value.items()) > 10_000:
        raise ValueError("The custom arguments are over 10,000 bytes.")
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if name.lower() in RESERVED_HEADERS:
            raise ValueError(f"The header {name} is reserved.")
    return value


Arguments = Annotated[dict[str, str], AfterValidator(_arguments)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]
Text = Annotated[str, Field(min_length=1)]


class _Address(BaseModel):
    email: Annotated[str, AfterValidator(_address)]
    name: str | None = None


class _Content(BaseModel):
    type: Text
    value: Text


Addresses = Annotated[list[_Address], Field(max_length=1000)]


class _Personalization(BaseModel):
    to: Annotated[Addresses, Field(min_length=1)]
    cc: Addresses = []
    bcc: Addresses = []
    subject: Text | None = None
    custom_args: Arguments = {}
    headers: Headers = {}


class _Mail(BaseModel):
    personalizations: Annotated[list[_Personalization], Field(min_length=1, max_length=1000)]
    sender: _Address = Field(alias="from")
    subject: Text | None = None
    content: Annotated[list[_Content], Field(min_length=1)] | None = None
    template_id: Text | None = None
    custom_args: Arguments = {}
    headers: Headers = {}
    categories: Annotated[list[Annotated[str, Field(max_length=255)]], Field(max_length=10)] = []

    @model_validator(mode="after")
    def _has_something_to_say(self) -> Self:
        if self.template_id:
            return self
        if not (self.subject or all(personal.subject for personal in self.personalizations)):
            raise ValueError(
                "The subject is required. You can get around this requirement if you use a template."
            )
        if not self.content:
            raise ValueError("Unless a valid template_id is provided, the content parameter is required.")
        ranks = [RANKS.get(part.type, len(RANKS)) for part in self.content]
        if ranks != sorted(ranks):
            raise ValueError("text/plain must come first, then text/html, then any other type.")
        return self
