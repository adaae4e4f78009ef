"""Providers: one file each, which sends, and verifies and normalizes what comes back.

A module of this room that offers the functions of `base.Provider` is a provider; to add one, add its file.
The others are `base` (the types), `client` (the HTTP client), `calls` (one POST and what it proves),
`fields` (what strangers send), `segments` (what an SMS costs) and `<provider>_events`, where a provider's
file would grow too long.
"""

from importlib import import_module
from pkgutil import iter_modules

from shared.errors import UnknownProvider
from shared.providers.base import Provider


class _Providers(dict[str, Provider]):
    def __missing__(self, name: str) -> Provider:
        raise UnknownProvider(f"There is no provider {name!r}: use one of {', '.join(sorted(self))}.")


def _discover() -> _Providers:
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    return _Providers({module.name: module for module in modules if isinstance(module, Provider)})


PROVIDERS = _discover()
"""Every provider by name; `PROVIDERS[name]` raises `UnknownProvider` for a name that is none."""
