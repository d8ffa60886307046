"""Single sign-on: OpenID Connect, authorisation code with PKCE (Authlib); signatures by joserfc.

`begin` sends the browser to the provider, `finish` asks the provider about the code that came back and
believes an ID token only with the right signature, issuer, audience, nonce and age.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

import httpx
from authlib.common.security import generate_token
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlmodel import Session, col, select

from fleet.access import audit
from fleet.access.caller import Grant
from fleet.access.provider import Provider
from fleet.access.secrets import is_same
from fleet.access.sessions import end_all_sessions, grants_of
from fleet.access.users import write_grants
from fleet.access.words import user_name
from fleet.errors import BadInput, Conflict, NotLoggedIn
from fleet.store.tables_people import User
from ota.messages import new_id

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
LEEWAY_S: Final = 60
TIMEOUT_S: Final = 10.0
REMEMBER_S: Final = 600.0
BY: Final = "single sign-on"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider vouches for."""

    subject: str
    name: str
    grants: tuple[Grant, ...]


class SignOn:
    """The provider, asked by plain functions of a thread pool; remembers its description for some minutes."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._read_s = float("-inf")
        self._description: dict[str, Any] = {}
        self._keys: KeySet | None = None

    @property
    def label(self) -> str:
        """The provider's name for people."""
        return self._provider.label

    def redirect_uri(self, base_url: str) -> str:
        """Return where the provider sends the browser back to."""
        return self._provider.redirect_uri or f"{base_url.rstrip('/')}/login/sso/callback"

    def begin(self, redirect_uri: str) -> tuple[str, dict[str, str]]:
        """Return where to send the browser, and what `finish` needs again.

        Raises:
            NotLoggedIn: the provider does not answer.
        """
        description, _ = self._known()
        kept = {"nonce": generate_token(32), "verifier": generate_token(64), "redirect_uri": redirect_uri}
        with httpx.Client(timeout=TIMEOUT_S) as http:
            url, state = self._client(http, redirect_uri).create_authorization_url(
                description["authorization_endpoint"], code_verifier=kept["verifier"], nonce=kept["nonce"]
            )
        return url, kept | {"state": state}

    def finish(self, kept: dict[str, str], answer: dict[str, str], now_s: float) -> Identity:
        """Return whom the provider vouches for.

        Args:
            kept: what `begin` gave.
            answer: arguments of the URL that the provider sent the browser back to.
            now_s: Unix seconds.

        Raises:
            NotLoggedIn: the provider refused, or what it says does not hold.
        """
        if not is_same(answer.get("state", ""), kept["state"]):
            raise NotLoggedIn("this is not the answer to the log-in that was begun: begin again")
        if "error" in answer or not answer.get("code"):
            raise NotLoggedIn(f"{self.label} did not let you in")
        if answer.get("iss", self._provider.issuer) != self._provider.issuer:
            raise NotLoggedIn("the answer comes from another provider")
        description, _ = self._known()
        token = self._exchange(description["token_endpoint"], kept, answer["code"])
        claims = self._claims(str(token.get("id_token", "")), kept["nonce"], now_s)
        return self._identity(claims)

    def _exchange(self, endpoint: str, kept: dict[str, str], code: str) -> dict[str, Any]:
        with httpx.Client(timeout=TIMEOUT_S) as http:
            client = self._client(http, kept["redirect_uri"])
            try:
                return dict(client.fetch_token(endpoint, code=code, code_verifier=kept["verifier"]))
            except (OAuth2Error, httpx.HTTPError, ValueError) as error:
                raise NotLoggedIn(f"{self.label} did not confirm the log-in") from error

    def _claims(self, id_token: str, nonce: str, now_s: float) -> dict[str, Any]:
        _, keys = self._known()
        try:
            try:
                claims = jwt.decode(id_token, keys, algorithms=ALGORITHMS).claims
            except (JoseError, ValueError):  # the provider may have changed its keys
                claims = jwt.decode(id_token, self._known(is_fresh=True)[1], algorithms=ALGORITHMS).claims
            self._registry(nonce, now_s).validate(claims)
        except (JoseError, ValueError) as error:
            raise NotLoggedIn(f"what {self.label} says does not hold: {type(error).__name__}") from error
        audience = claims["aud"]
        if claims.get("azp", self._provider.client_id) != self._provider.client_id or (
            isinstance(audience, list) and len(audience) > 1 and "azp" not in claims
        ):
            raise NotLoggedIn(f"what {self.label} says is meant for another program")
        return claims

    def _registry(self, nonce: str, now_s: float) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(now_s),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._provider.issuer},
            aud={"essential": True, "value": self._provider.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )

    def _identity(self, claims: dict[str, Any]) -> Identity:
        try:
            name = user_name(str(claims.get(self._provider.name_claim, "")))
        except BadInput as error:
            raise NotLoggedIn(f"{self.label} gives no usable name ({self._provider.name_claim})") from error
        grants = self._provider.grants_of(claims.get(self._provider.groups_claim))
        return Identity(f"{self._provider.issuer} {claims['sub']}"[:500], name, grants)

    def _client(self, http: httpx.Client, redirect_uri: str) -> _Client:
        return _Client(
            http,
            client_id=self._provider.client_id,
            client_secret=self._provider.client_secret or None,
            scope=self._provider.scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )

    def _known(self, *, is_fresh: bool = False) -> tuple[dict[str, Any], KeySet]:
        with self._lock:
            if is_fresh or self._keys is None or time.monotonic() - self._read_s > REMEMBER_S:
                self._description, self._keys = self._ask()
                self._read_s = time.monotonic()
            return self._description, self._keys

    def _ask(self) -> tuple[dict[str, Any], KeySet]:
        issuer = self._provider.issuer
        try:
            with httpx.Client(timeout=TIMEOUT_S) as http:
                address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
                description = http.get(address).raise_for_status().json()
                keys = http.get(description["jwks_uri"]).raise_for_status().json()
            if description["issuer"] != issuer:
                raise NotLoggedIn(f"{self.label} calls itself {description['issuer']!r}, not {issuer!r}")
            return description, KeySet.import_key_set(keys)
        except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
            raise NotLoggedIn(f"{self.label} does not answer: log in with a password, or later") from error


def user_by_provider(session: Session, identity: Identity, now_ms: int) -> User:
    """Return the user whom the provider vouches for, with the roles of now. The caller commits.

    Raises:
        NotLoggedIn: no group of his gives a role, or he is disabled.
        Conflict: somebody else has his name.
    """
    audit.hold(session)
    user = session.exec(select(User).where(col(User.subject) == identity.subject)).first()
    if user is None:
        if not identity.grants:
            session.rollback()
            raise NotLoggedIn("none of your groups has a role in this fleet: ask its owner")
        user = _new_user(session, identity, now_ms)
    if grants_of(session, user.id) != identity.grants:
        write_grants(session, user.id, identity.grants)
        said = " ".join(map(str, identity.grants))
        audit.record(session, BY, "user.grant", user.name, {"grants": said}, at_ms=now_ms)
    if not identity.grants:
        end_all_sessions(session, user.id, now_ms)
        session.commit()
        raise NotLoggedIn("none of your groups has a role in this fleet any more: ask its owner")
    if user.is_disabled:
        session.commit()
        raise NotLoggedIn("you may not log in: ask the owner of the fleet")
    return user


def _new_user(session: Session, identity: Identity, now_ms: int) -> User:
    if session.exec(select(User.id).where(col(User.name) == identity.name)).first() is not None:
        session.rollback()
        raise Conflict(f"there is a user {identity.name} already who does not log in by single sign-on")
    user = User(id=new_id(), name=identity.name, subject=identity.subject, made_ms=now_ms)
    session.add(user)
    session.flush()
    audit.record(session, BY, "user.add", user.name, at_ms=now_ms)
    return user


class _Auth(httpx.Auth, ClientAuth):  # type: ignore[misc]
    """How a client proves itself to the token endpoint, in httpx's way."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        url, headers, body = self.prepare(request.method, str(request.url), request.headers, request.content)
        content = body.encode() if isinstance(body, str) else body
        headers["content-length"] = str(len(content))
        yield httpx.Request(request.method, url, headers=headers, content=content)


class _Client(OAuth2Client):  # type: ignore[misc]
    client_auth_class = _Auth
