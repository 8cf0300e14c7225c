"""What every answer says to the browser, and how the session cookie is kept.

No inline script or style anywhere, so the content security policy needs neither nonce nor ``unsafe-inline``. Pages are
never stored by a browser; files under a hash are, see ``assets``.
Source: https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect
from itsdangerous import BadSignature
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.http import parse_cookie

from fleet.web import app_uploads, signed_in
from fleet.web.blueprint import most_bytes, taken_from_outside, web

# data: is for the design system, which draws its icons as masks.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_HSTS_S = 365 * 24 * 3600
_MAX_FORM_BYTES = 64 * 1024
_MAX_TYPED_BYTES = 1024 * 1024  # what of a form is held in memory: all but its files


def install(app: Flask, *, is_https: bool) -> None:
    """Set cookie, forgery protection and headers.

    Args:
        app: the application.
        is_https: whether people reach the server by https (the public address says so, as TLS ends in front of us).
    """
    app.config.update(
        # The prefix makes browsers refuse a cookie that another host or plain http tries to plant (RFC 6265bis 4.1.3).
        SESSION_COOKIE_NAME="__Host-fleet" if is_https else "fleet",
        SESSION_COOKIE_SECURE=is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=timedelta(days=1),
        SESSION_REFRESH_EACH_REQUEST=False,
        WTF_CSRF_TIME_LIMIT=None,  # the token lives as long as the session it is bound to
        MAX_CONTENT_LENGTH=_MAX_FORM_BYTES,
    )
    app.before_request(_take_more)  # before the forgery check, which reads the form
    app.before_request(app_uploads.refuse_unread)
    forgery = CSRFProtect(app)
    for view in taken_from_outside():
        forgery.exempt(view)
    app.before_request(_refuse_nul)

    @app.after_request
    def say(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        if is_https:
            response.headers.setdefault("Strict-Transport-Security", f"max-age={_HSTS_S}")
        return response


def _take_more() -> None:
    """Let those who are signed in send larger forms where a view takes them; to a stranger all are small."""
    most = most_bytes(request.endpoint or "") if request.method == "POST" else None
    if most is not None and signed_in.account() is not None:
        request.max_content_length = most
        request.max_form_memory_size = min(most, _MAX_TYPED_BYTES)


def most_body_bytes(app: Flask, method: str, path: str, headers: Mapping[str, str]) -> int:
    """Return how large a form is read before a thread is given to it: files only from who has a session of ours.

    Whether the session still counts is asked once the form is here, as with every form.

    Args:
        app: the application.
        method: of the request.
        path: of the request, decoded.
        headers: of the request, by lower-case name.
    """
    try:
        endpoint, _values = app.url_map.bind("").match(path, method)
    except HTTPException:
        return _MAX_FORM_BYTES
    most = most_bytes(endpoint) if method == "POST" else None
    if most is None:
        return _MAX_FORM_BYTES
    told = parse_cookie(headers.get("cookie", "")).get(app.config["SESSION_COOKIE_NAME"], "")
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    try:
        session = (
            serializer.loads(told, max_age=int(app.permanent_session_lifetime.total_seconds())) if serializer else {}
        )
    except BadSignature:
        return _MAX_FORM_BYTES
    return max(most, _MAX_FORM_BYTES) if "_user_id" in session else _MAX_FORM_BYTES


def _refuse_nul() -> None:
    """Refuse a form or address with the sign that no text of PostgreSQL can hold; no page of ours sends it."""
    if request.blueprint != web.name:
        return
    told = [request.path, *_values(request.args), *_values(request.form)]
    if any("\0" in one for one in told):
        raise BadRequest


def _values(told: MultiDict[str, str]) -> Iterator[str]:
    return (value for values in told.listvalues() for value in values)
