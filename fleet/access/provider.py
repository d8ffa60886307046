"""Which single sign-on provider (OpenID Connect) this fleet trusts, and which groups of it are which roles.

Read once from a TOML file (`oidc.toml` in the fleet's home, or PEHRA_OIDC_FILE) and from PEHRA_OIDC_*.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from fleet.access.caller import Grant, site_prefix
from fleet.access.roles import role_of
from fleet.errors import BadInput, SettingsError

VARIABLES: Final = {
    "issuer": "PEHRA_OIDC_ISSUER",
    "client_id": "PEHRA_OIDC_CLIENT_ID",
    "client_secret": "PEHRA_OIDC_CLIENT_SECRET",
}
FILE_VARIABLE: Final = "PEHRA_OIDC_FILE"
LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Provider:
    """What is set of the provider.

    Attributes:
        issuer: its address as it stands in its tokens; https, or http on this machine.
        client_id: of this fleet at the provider.
        client_secret: never printed; empty for a public client.
        label: its name on the log-in page.
        name_claim: claim of the ID token that becomes the user's name.
        groups_claim: claim that lists the user's groups.
        scope: what is asked for.
        redirect_uri: as it is registered there; empty takes the address of the request.
        grants: group and what its members get.
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    label: str = "single sign-on"
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    scope: str = "openid profile"
    redirect_uri: str = ""
    grants: tuple[tuple[str, Grant], ...] = ()

    def grants_of(self, groups: object) -> tuple[Grant, ...]:
        """Return what the groups of an ID token give."""
        named = [groups] if isinstance(groups, str) else groups
        held = {one for one in named if isinstance(one, str)} if isinstance(named, list) else set()
        return tuple(sorted({grant for group, grant in self.grants if group in held}))


def load_provider(environment: Mapping[str, str], home: Path | None) -> Provider | None:
    """Return the provider, or None where none is set.

    Raises:
        SettingsError: the file cannot be read, or something in it makes no sense.
    """
    file = _file(environment, home)
    given = _read(file) if file else {}
    given |= {
        name: environment[variable] for name, variable in VARIABLES.items() if environment.get(variable)
    }
    if not given:
        return None
    where = str(file or FILE_VARIABLE)
    try:
        provider = Provider(**(given | {"grants": _grants(given.pop("grant", []))}))
    except (TypeError, KeyError, AttributeError, BadInput) as error:
        raise SettingsError(f"{where}: {error} (docs/access.md says what can stand there)") from error
    _check(provider, where)
    return provider


def _file(environment: Mapping[str, str], home: Path | None) -> Path | None:
    if named := environment.get(FILE_VARIABLE):
        return Path(named)
    found = home / "oidc.toml" if home else None
    return found if found and found.is_file() else None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: {error}") from error


def _grants(entries: list[dict[str, str]]) -> tuple[tuple[str, Grant], ...]:
    return tuple(
        (str(entry["group"]), Grant(role_of(entry["role"]), site_prefix(entry.get("site", ""))))
        for entry in entries
    )


def _check(provider: Provider, where: str) -> None:
    url = urlsplit(provider.issuer)
    if not (url.scheme == "https" or (url.scheme == "http" and url.hostname in LOCAL_NAMES)):
        raise SettingsError(f"{where}: issuer {provider.issuer!r} must be an https address")
    if not provider.client_id:
        raise SettingsError(f"{where}: client_id is missing")
