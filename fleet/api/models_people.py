"""What the API takes and answers about people; no password, secret or hash is ever in an answer but once."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, Field, JsonValue

from fleet.access.caller import Caller, Grant, site_prefix
from fleet.access.passwords import LENGTH_MAX, LENGTH_MIN
from fleet.access.roles import Permission, Role, role_of
from fleet.access.sessions import public_id
from fleet.access.tokens import NOT_FOR_TOKENS
from fleet.access.users import GRANTS_MAX, Person
from fleet.access.words import NAME_PATTERN
from fleet.api.models import Moment, as_moment
from fleet.queries.paging import Storable
from fleet.store.tables_people import ApiToken, AuditEntry, LoginSession

Name = Annotated[
    Storable,
    Field(min_length=1, max_length=64, examples=["asad"], json_schema_extra={"pattern": f"^{NAME_PATTERN}$"}),
]
Password = Annotated[str, Field(max_length=LENGTH_MAX, json_schema_extra={"format": "password"})]
NewPassword = Annotated[
    str,
    Field(max_length=LENGTH_MAX, json_schema_extra={"format": "password", "minLength": LENGTH_MIN}),
]
Code = Annotated[Storable, Field(max_length=40, description="of TOTP, or a recovery code")]


SCOPES: Final[list[JsonValue]] = [str(one) for one in Permission if one not in NOT_FOR_TOKENS]
"""What a token may have."""


class Done(BaseModel):
    """It is done, or was before."""

    status: Annotated[str, Field(examples=["done"])] = "done"


class GrantModel(BaseModel):
    """A role in a part of the tree of sites."""

    role: Annotated[
        Storable, Field(max_length=40, examples=["operator"], json_schema_extra={"enum": [*map(str, Role)]})
    ]
    site: Annotated[
        Storable, Field(max_length=200, examples=["lahore/gulberg"], description="empty: all")
    ] = ""

    @classmethod
    def of(cls, grant: Grant) -> GrantModel:
        """Return the answer for a grant."""
        return cls(role=str(grant.role), site=grant.site)

    def grant(self) -> Grant:
        """Return the grant.

        Raises:
            BadInput: no such role, or no site.
        """
        return Grant(role_of(self.role), site_prefix(self.site))


class LoginIn(BaseModel):
    """Who wants to log in."""

    name: Annotated[str, Field(max_length=256)]
    password: Password
    code: Code = ""


class MeOut(BaseModel):
    """Who asks, and what that one may do where."""

    name: str
    kind: Annotated[str, Field(description="`session`, `token`, or `local` in a fleet without log-in")]
    grants: list[GrantModel]
    permissions: Annotated[dict[str, list[str]], Field(examples=[{"see-devices": ["lahore/gulberg"]}])]

    @classmethod
    def of(cls, caller: Caller) -> MeOut:
        """Return the answer for a caller; an empty site is everywhere."""
        held = {str(one): list(caller.sites(one)) for one in Permission if caller.has(one)}
        grants = [GrantModel.of(one) for one in caller.grants]
        return cls(name=caller.name, kind=caller.kind, grants=grants, permissions=held)


class SessionOut(BaseModel):
    """A browser that has logged in."""

    id: str
    is_this: Annotated[bool, Field(description="the one that asks")]
    address: str
    agent: str
    made: Moment
    seen: Moment

    @classmethod
    def of(cls, row: LoginSession, caller: Caller) -> SessionOut:
        """Return the answer for a row."""
        return cls(
            id=public_id(row),
            is_this=row.hash == caller.session,
            address=row.address,
            agent=row.agent,
            made=as_moment(row.made_ms),
            seen=as_moment(row.seen_ms),
        )


class SessionList(BaseModel):
    """One page of one's own sessions, newest first."""

    items: list[SessionOut]
    next_cursor: str | None


class PasswordIn(BaseModel):
    """One's own new password; the old one proves who asks."""

    old: Password
    new: NewPassword


class ProofIn(BaseModel):
    """The password once more."""

    password: Password


class CodeIn(BaseModel):
    """A code of the new secret."""

    code: Code


class EnrolmentOut(BaseModel):
    """What an authenticator app needs."""

    uri: Annotated[str, Field(description="as a QR code", examples=["otpauth://totp/Pehra:asad?..."])]
    secret: Annotated[str, Field(description="to type by hand")]


class RecoveryOut(BaseModel):
    """Codes that stand in for the phone, each once; never shown again."""

    codes: list[str]


class ResetIn(BaseModel):
    """A user's new password."""

    password: NewPassword


class UserIn(BaseModel):
    """A new user."""

    name: Name
    password: NewPassword
    grants: Annotated[list[GrantModel], Field(max_length=GRANTS_MAX)] = []


class GrantsIn(BaseModel):
    """All roles that a user should have."""

    grants: Annotated[list[GrantModel], Field(max_length=GRANTS_MAX)]


class StateIn(BaseModel):
    """Whether a user may log in."""

    is_disabled: bool


class UserOut(BaseModel):
    """A user."""

    name: str
    grants: list[GrantModel]
    is_disabled: bool
    has_password: bool
    has_totp: bool
    is_single_sign_on: bool
    made: Moment
    waits_until: Annotated[Moment | None, Field(description="after wrong log-ins from unknown places")]

    @classmethod
    def of(cls, person: Person) -> UserOut:
        """Return the answer for a user."""
        same = ("name", "is_disabled", "has_password", "has_totp", "is_single_sign_on")
        return cls(
            **{name: getattr(person, name) for name in same},
            grants=[GrantModel.of(one) for one in person.grants],
            made=as_moment(person.made_ms),
            waits_until=as_moment(person.waits_until_ms) if person.waits_until_ms else None,
        )


class UserList(BaseModel):
    """One page of users, by name."""

    items: list[UserOut]
    next_cursor: str | None


class TokenIn(BaseModel):
    """A new token."""

    name: Annotated[Storable, Field(max_length=64, examples=["nightly report"])]
    permissions: Annotated[
        list[Annotated[Storable, Field(json_schema_extra={"enum": SCOPES})]],
        Field(max_length=len(Permission), examples=[["see-events"]], json_schema_extra={"minItems": 1}),
    ]
    sites: Annotated[list[Storable], Field(max_length=20, description="empty: all of your sites")] = []
    days: Annotated[int, Field(ge=1, le=366)] = 90


class TokenOut(BaseModel):
    """A token, without what makes it work."""

    id: Annotated[str, Field(description="the token begins with `pehra_` and this")]
    name: str
    permissions: list[str]
    sites: list[str]
    made: Moment
    expires: Moment
    used: Moment | None

    @classmethod
    def of(cls, row: ApiToken) -> TokenOut:
        """Return the answer for a row."""
        same = {name: getattr(row, name) for name in ("id", "name", "permissions", "sites")}
        used = as_moment(row.used_ms) if row.used_ms else None
        return cls(**same, made=as_moment(row.made_ms), expires=as_moment(row.expires_ms), used=used)


class MadeToken(TokenOut):
    """A new token; it is never shown again."""

    token: str


class TokenList(BaseModel):
    """One's own tokens, newest first."""

    items: list[TokenOut]
    next_cursor: str | None


class AuditOut(BaseModel):
    """One row of the audit log."""

    n: int
    at: Moment
    who: str
    action: str
    target: str
    detail: Annotated[str, Field(description="canonical JSON")]
    hash: str

    @classmethod
    def of(cls, row: AuditEntry) -> AuditOut:
        """Return the answer for a row."""
        same = {name: getattr(row, name) for name in ("n", "who", "action", "target", "detail", "hash")}
        return cls(**same, at=as_moment(row.at_ms))


class AuditPage(BaseModel):
    """One page of the audit log, newest first."""

    items: list[AuditOut]
    next_cursor: str | None


class AuditCheck(BaseModel):
    """Whether the log is whole."""

    is_whole: bool
    rows: int
    head: Annotated[str, Field(description="write it down elsewhere: it proves later that no row is gone")]
    findings: list[str]
