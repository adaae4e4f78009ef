"""Addresses as they are stored and compared: mail in lower case with an ASCII domain, numbers as E.164.

A provider echoes the address we sent to, so what is stored is what suppression compares.
"""

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from shared.providers.base import Channel


def normalized(channel: Channel, address: str) -> str:
    """The one spelling of an address; ValueError with a sentence where it is none."""
    return email(address) if channel == "email" else phone(address)


def email(address: str) -> str:
    """Whether the domain takes mail is not asked: only its provider knows, and says so by a bounce."""
    try:
        valid = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    return f"{valid.local_part.lower()}@{valid.ascii_domain}"


def phone(number: str) -> str:
    """A number with its country code, as +14155550100."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException as error:
        raise ValueError(f"{error} Give the number with its country code, as +14155550100.") from error
    if not phonenumbers.is_possible_number(parsed):
        raise ValueError("No number of its country has so many digits.")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
