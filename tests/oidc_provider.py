"""A small OpenID provider on a real server: discovery, JWKS, authorisation code with PKCE, signed ID tokens.

What it says can be twisted for a test: other claims, another key, a lie about itself.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from fastapi import FastAPI, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from fleet.serving import listen, serve

CLIENT_ID, CLIENT_SECRET = "pehra", "client-secret"


class OidcProvider:
    """The provider and who is logged in at it."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = ECKey.generate_key("P-256", {"kid": "one", "alg": "ES256", "use": "sig"})
        self.signing_key = self.key
        self.person: dict[str, Any] = {"sub": "1001", "preferred_username": "asad", "groups": ["guards"]}
        self.twist: dict[str, Any] = {}
        self.discovery_twist: dict[str, Any] = {}
        self.refuses = False
        self._codes: dict[str, dict[str, str]] = {}

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
        } | self.discovery_twist

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser goes; whoever asks is logged in here already."""
        if self.refuses:
            return f"{query['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': query['state']})}"
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        asked = self._codes.pop(form["code"], None)
        wanted = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if authorization != f"Basic {wanted}":
            return 401, {"error": "invalid_client"}
        if asked is None or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        if create_s256_code_challenge(form["code_verifier"]) != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token(asked["nonce"])}

    def id_token(self, nonce: str) -> str:
        now_s = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now_s,
            "exp": now_s + 60,
            "nonce": nonce,
            **self.person,
            **self.twist,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": "one"}, claims, self.signing_key)


def app_of(provider: OidcProvider) -> FastAPI:
    app = FastAPI()

    @app.get("/.well-known/openid-configuration")
    def discovery() -> dict[str, Any]:
        return provider.discovery()

    @app.get("/jwks")
    def jwks() -> dict[str, Any]:
        return KeySet([provider.key]).as_dict(private=False)

    @app.get("/authorize")
    def authorize(request: Request) -> RedirectResponse:
        return RedirectResponse(provider.authorize(dict(request.query_params)), 303)

    @app.post("/token")
    def token(
        request: Request,
        code: Annotated[str, Form()],
        code_verifier: Annotated[str, Form()],
        redirect_uri: Annotated[str, Form()],
    ) -> JSONResponse:
        form = {"code": code, "code_verifier": code_verifier, "redirect_uri": redirect_uri}
        status, body = provider.token(form, request.headers.get("authorization", ""))
        return JSONResponse(body, status)

    return app


@contextlib.contextmanager
def running_provider() -> Iterator[OidcProvider]:
    listener, stop, ready = listen("127.0.0.1", 0), threading.Event(), threading.Event()
    provider = OidcProvider(f"http://127.0.0.1:{listener.getsockname()[1]}")
    arguments = (app_of(provider), listener, stop)
    thread = threading.Thread(target=serve, args=arguments, kwargs={"ready": ready.set})
    thread.start()
    try:
        assert ready.wait(20)
        yield provider
    finally:
        stop.set()
        thread.join(20)
