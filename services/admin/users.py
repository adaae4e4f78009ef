"""Users: who may log in, and what for."""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from services.admin.settings import AccountSettings
from shared.errors import SettingsError

LONGEST_PASSWORD = 1024
"""Characters: a longer one is wrong without being looked at."""

_NEXT = re.compile(r"[\n,]\s*(?=[^\s:,$]+:[^\s:,$]+:)|\n")  # a hash has commas of its own
_USER = re.compile(r"([A-Za-z0-9._@+-]{1,64}):(operator|viewer):(\$argon2\S+)")
_AT_ONCE = 2  # a hash takes 64 MiB


class Role(StrEnum):
    """What a user may do: a viewer acts on nothing, and sees contacts' addresses masked."""

    OPERATOR = "operator"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in. `stamp` changes with the password, and ends the sessions begun with it."""

    name: str
    role: Role
    hash: str
    stamp: str


class Users:
    """Everybody who may log in."""

    def __init__(self, users: Iterable[User]) -> None:
        self._hasher = PasswordHasher()
        self._users = {user.name: user for user in users}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def __bool__(self) -> bool:
        return bool(self._users)

    def get(self, name: str) -> User | None:
        """The user of this name."""
        return self._users.get(name)

    async def with_password(self, name: str, password: str) -> User | None:
        """The user of this name, if the password is theirs."""
        user = self.get(name)
        async with self._slots:
            right = await asyncio.to_thread(self._verify, user, password)
        return user if right else None

    @cached_property
    def _nobody(self) -> str:
        """What is nobody's password, so that an unknown name takes as long as a known one."""
        return self._hasher.hash(secrets.token_hex(16))

    def _verify(self, user: User | None, password: str) -> bool:
        if len(password) > LONGEST_PASSWORD:
            return False
        try:
            return self._hasher.verify(user.hash if user is not None else self._nobody, password)
        except VerificationError:
            return False


def read(accounts: AccountSettings, secret_key: str) -> Users:
    """The users that the settings name. Raises SettingsError, which quotes no hash."""
    found = list(_listed(accounts.users.get_secret_value())) if accounts.users is not None else []
    password = accounts.password or accounts.older_password
    if password is not None:
        found.append(_admin(password.get_secret_value(), secret_key))
    names = [user.name for user in found]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"OUTREACH_ADMIN_USERS: there are two users named {name}: rename one.")
    return Users(found)


def _listed(text: str) -> Iterator[User]:
    for number, entry in enumerate(filter(None, map(str.strip, _NEXT.split(text))), start=1):
        parts = _USER.fullmatch(entry)
        if parts is None or not _is_hash(parts[3]):
            raise SettingsError(
                f"OUTREACH_ADMIN_USERS: user {number} is not name:operator:hash or name:viewer:hash"
                " with a hash of argon2."
            )
        yield User(parts[1], Role(parts[2]), parts[3], hashlib.sha256(parts[3].encode()).hexdigest())


def _is_hash(text: str) -> bool:
    try:
        extract_parameters(text)
    except InvalidHashError:
        return False
    return True


def _admin(password: str, secret_key: str) -> User:
    # Its hash is another in every process: the stamp is of the password itself.
    stamp = hmac.new(secret_key.encode(), b"admin password\0" + password.encode(), hashlib.sha256).hexdigest()
    return User("admin", Role.OPERATOR, PasswordHasher().hash(password), stamp)
