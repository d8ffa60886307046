"""Pages without NiceGUI: log-in, its second step, and refusals. They work without a script or a socket."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final

from starlette.responses import HTMLResponse

from fleet.console.frame import FAVICON, WORDMARK

STYLE: Final = (Path(__file__).parent / "plain.css").read_text()
POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def plain_page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """Return a page.

    Args:
        title: plain text.
        body: HTML; whatever came from outside is escaped by the caller.
        status: of the answer.
    """
    icon = FAVICON.replace("#", "%23").replace('"', "'")
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} · Pehra</title><link rel="icon" href="data:image/svg+xml,{icon}">'
        f"<style>{STYLE}</style></head><body><main><h1>Pehra {WORDMARK}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(page, status, headers={"content-security-policy": POLICY})


def refused_page(name: str) -> HTMLResponse:
    """Say that a page is not for somebody's role."""
    body = (
        "<h2>Not for your role</h2><p>You are logged in as "
        f"<b>{escape(name)}</b>, whose roles do not open this page. An owner of the fleet can give you one "
        'that does.</p><a class="button" href="/">To your home page</a>'
    )
    return plain_page("Not for your role", body, 403)


def login_page(
    form_token: str, *, next_path: str, name: str = "", said: str = "", sso: str = "", status: int = 200
) -> HTMLResponse:
    """Return the log-in form.

    Args:
        form_token: goes with the cookie of this browser.
        next_path: where to go afterwards.
        name: as it was typed before.
        said: why the last try was refused.
        sso: name of the single sign-on provider; empty without one.
        status: of the answer.
    """
    body = (
        f'<h2>Log in</h2>{_said(said)}<form method="post" action="/login">{_hidden(form_token, next_path)}'
        f'<label for="name">Name</label><input id="name" name="name" value="{escape(name)}" required '
        'autocomplete="username" autocapitalize="none" spellcheck="false" autofocus>'
        '<label for="password">Password</label><input id="password" name="password" type="password" required '
        'autocomplete="current-password"><button>Log in</button></form>'
    )
    if sso:
        to = escape(f"/login/sso?next={next_path}")
        body += f'<p class="or">or</p><a class="button second" href="{to}">Log in with {escape(sso)}</a>'
    return plain_page("Log in", body, status)


def code_page(form_token: str, *, next_path: str, said: str = "", status: int = 200) -> HTMLResponse:
    """Return the form for the code of TOTP."""
    body = (
        f"<h2>One more step</h2>{_said(said)}<p>Type the six digits that your authenticator app shows, "
        'or one of your recovery codes.</p><form method="post" action="/login/code">'
        f'{_hidden(form_token, next_path)}<label for="code">Code</label><input id="code" name="code" '
        'required autocomplete="one-time-code" spellcheck="false" autofocus><button>Go on</button></form>'
        '<p class="or"><a href="/login">Begin again</a></p>'
    )
    return plain_page("Code", body, status)


def _said(text: str) -> str:
    return f'<p class="said" role="alert">{escape(text)}</p>' if text else ""


def _hidden(form_token: str, next_path: str) -> str:
    return (
        f'<input type="hidden" name="form" value="{escape(form_token)}">'
        f'<input type="hidden" name="next" value="{escape(next_path)}">'
    )
