"""Sessions: who has logged in, kept by their browser in a sealed cookie, so that any replica knows them."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest
from typing import Any

from services.admin.users import Role, User, Users
from shared.sealing import Purpose, Sealer


@dataclass(frozen=True, slots=True)
class Session:
    """A login. `csrf` comes with every form of its pages."""

    name: str
    role: Role
    csrf: str

    @property
    def may_act(self) -> bool:
        """Whether the user may change anything."""
        return self.role is Role.OPERATOR


class Sessions:
    """Begins sessions, and finds out whose a cookie is."""

    def __init__(
        self, secret_key: str, users: Users, lasts: timedelta, clock: Callable[[], float] = time.time
    ) -> None:
        self._sealer = Sealer(secret_key, Purpose.ADMIN_SESSION)
        self._users = users
        self._lasts = lasts
        self._clock = clock

    def begin(self, user: User) -> str:
        """A cookie's value: it is good until the session's end, or until the user's password changes."""
        kept = {
            "name": user.name,
            "stamp": user.stamp,
            "until": self._clock() + self._lasts.total_seconds(),
            "csrf": secrets.token_urlsafe(24),
        }
        return self._sealer.seal(json.dumps(kept).encode()).decode()

    def find(self, cookie: str) -> Session | None:
        """Whose session it is; None where it is forged, over, or its user's password another by now."""
        opened = self._sealer.open(cookie.encode())
        if opened is None:
            return None
        kept: dict[str, Any] = json.loads(opened)
        user = self._users.get(kept["name"])
        if user is None or kept["until"] <= self._clock() or not compare_digest(user.stamp, kept["stamp"]):
            return None
        return Session(user.name, user.role, kept["csrf"])
