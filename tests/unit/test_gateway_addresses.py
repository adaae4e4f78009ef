import pytest

from services.gateway import addresses
from shared.campaigns import suppression


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("a@example.com", "a@example.com"),
        ("Jo.Doe+News@EXAMPLE.com", "jo.doe+news@example.com"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@box.test", "a@box.test"),
    ],
)
def test_mail_is_stored_in_lower_case_with_an_ascii_domain(given: str, stored: str) -> None:
    assert addresses.normalized("email", given) == stored
    assert suppression.normalized("email", stored) == stored


@pytest.mark.parametrize(
    "given", ["", "a", "a@", "@b.example", "a b@c.example", "a@b@c.example", "a@b..example"]
)
def test_what_is_no_mail_address_is_refused_with_a_sentence(given: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        addresses.normalized("email", given)


@pytest.mark.parametrize("given", ["+14155550100", "+1 (415) 555-0100", "tel:+1-415-555-0100"])
def test_a_number_is_stored_as_e164(given: str) -> None:
    assert addresses.normalized("sms", given) == "+14155550100"
    assert suppression.normalized("sms", "+14155550100") == "+14155550100"


@pytest.mark.parametrize("given", ["", "555 0100", "+1415", "+999999999999999", "STOP", "+1" + "5" * 300])
def test_what_is_no_number_with_its_country_is_refused_with_a_sentence(given: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        addresses.normalized("sms", given)
