"""Cookies of these pages: no script reads them; another site's link brings them along, and no form of it."""

from dataclasses import dataclass

from litestar.datastructures import Cookie

SESSION, VISIT, SAID = "outreach_admin", "outreach_admin_visit", "outreach_admin_said"
"""Of a login; of a browser that has yet to log in; and of what a form did, for the next page to say."""


@dataclass(frozen=True, slots=True)
class Cookies:
    """Makes cookies. `secure`: over HTTPS alone, or to this machine."""

    secure: bool

    def make(self, name: str, value: str, seconds: int) -> Cookie:
        """A cookie that is kept for so long."""
        return Cookie(name, "/", value, max_age=seconds, httponly=True, secure=self.secure, samesite="lax")

    def drop(self, name: str) -> Cookie:
        """What makes a browser forget a cookie."""
        return self.make(name, "", 0)
