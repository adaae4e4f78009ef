import inspect

import pytest

from shared.errors import UnknownProvider
from shared.providers import PROVIDERS
from shared.providers.base import Provider, ProviderAccount

FUNCTIONS = ("send", "authenticate", "check_shape", "normalize")


def test_the_providers_are_the_modules_that_are_one() -> None:
    assert {name: provider.channels for name, provider in PROVIDERS.items()} == {
        "mailbox": {"email", "sms"},
        "sendgrid": {"email"},
        "twilio": {"sms"},
    }


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_provider_speaks_the_protocol_to_the_letter(name: str, function: str) -> None:
    asked = inspect.signature(getattr(Provider, function))
    asked = asked.replace(parameters=list(asked.parameters.values())[1:])
    given = getattr(PROVIDERS[name], function)
    assert inspect.signature(given) == asked
    assert inspect.iscoroutinefunction(given) == (function == "send")


def test_a_name_that_is_no_provider_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnknownProvider, match=r"'pigeon': use one of mailbox, sendgrid, twilio"):
        PROVIDERS["pigeon"]
    assert sorted(PROVIDERS) == ["mailbox", "sendgrid", "twilio"]


def test_an_account_does_not_show_its_credentials() -> None:
    assert "secret" not in repr(ProviderAccount("sendgrid", {"api_key": "secret"}))
