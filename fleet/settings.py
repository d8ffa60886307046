"""What the fleet manager is told at start: one frozen value, from arguments and `PEHRA_*` variables.

Reads the environment once, in `load_settings`; opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from fleet.access.provider import Provider, load_provider
from fleet.errors import SettingsError
from fleet.identity.home import Home

DEFAULT_DATABASE_URL: Final = "sqlite:///pehra-fleet.db"
SILENCE_MIN_S: Final = 25.0
SILENCE_MAX_S: Final = 600.0
LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Settings:
    """All that `fleet` is told.

    Attributes:
        database_url: SQLAlchemy URL; `sqlite:///file.db` or `postgresql+psycopg://...`; may hold a password.
        mqtt_host: the broker's name or address.
        mqtt_port: the broker's port, 1..65535.
        mqtt_username: empty for a broker that knows us by our certificate.
        mqtt_password: never printed.
        mqtt_client_id: fixed, so that the broker keeps our session while we are away.
        mqtt_ca: PEM file of the broker's authority; TLS is used when it is given.
        mqtt_cert: PEM file of our certificate.
        mqtt_key: PEM file of our key.
        http_host: where API and console listen.
        http_port: 1..65535.
        home: the folder that `pehra fleet init` made: authorities, certificates, who may do what; None for a
            fleet without them, which only this machine may reach.
        images: folder to which the image repository was published; served below `/updates/`.
        image_repository: home of the image repository with its online keys, to sign it again in time.
        provider: of single sign-on; only with a home.
        os_images: folder of OS images, where it is not the home's.
        os_poll_s: how often clients of hawkBit's API are told to come, 1..86399.
        offline_after_s: a device silent for longer is offline, 25..600; firmware sends health every 20 s
            or oftener, and less than that would call every device offline between two of them.
    """

    database_url: str = field(default=DEFAULT_DATABASE_URL, repr=False)
    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 1883
    mqtt_username: str = ""
    mqtt_password: str = field(default="", repr=False)
    mqtt_client_id: str = "pehra-fleet"
    mqtt_ca: Path | None = None
    mqtt_cert: Path | None = None
    mqtt_key: Path | None = None
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    home: Path | None = None
    images: Path | None = None
    image_repository: Path | None = None
    provider: Provider | None = None
    os_images: Path | None = None
    os_poll_s: int = 300
    offline_after_s: float = 50.0

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach API and console."""
        return self.http_host in LOCAL_HOSTS

    @property
    def is_open(self) -> bool:
        """Whether nobody has to log in: a fleet without home, for this machine alone."""
        return self.home is None

    @property
    def image_folder(self) -> Path | None:
        """Where OS images are kept; None for a fleet without a home that was not told."""
        return self.os_images or (Home(self.home).os_images if self.home else None)

    def check_reach(self) -> None:
        """Refuse to serve others than this machine without log-in.

        Raises:
            SettingsError: there is no home, and the address is not one of this machine alone.
        """
        if self.is_open and not self.is_local:
            raise SettingsError(
                f"--host {self.http_host} lets others reach this fleet, which has no users yet: "
                "run `pehra fleet init` and give its folder with --home"
            )

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the console."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(self.http_host, self.http_host)  # noqa: S104
        return f"http{'s' if self.home else ''}://{host}:{self.http_port}"


_VARIABLES: Final = {
    "database_url": "PEHRA_DB",
    "mqtt_host": "PEHRA_MQTT_HOST",
    "mqtt_port": "PEHRA_MQTT_PORT",
    "mqtt_username": "PEHRA_MQTT_USERNAME",
    "mqtt_password": "PEHRA_MQTT_PASSWORD",
    "mqtt_client_id": "PEHRA_MQTT_CLIENT_ID",
    "mqtt_ca": "PEHRA_MQTT_CA",
    "mqtt_cert": "PEHRA_MQTT_CERT",
    "mqtt_key": "PEHRA_MQTT_KEY",
    "http_host": "PEHRA_HTTP_HOST",
    "http_port": "PEHRA_HTTP_PORT",
    "home": "PEHRA_HOME",
    "images": "PEHRA_IMAGES",
    "image_repository": "PEHRA_IMAGE_REPOSITORY",
    "os_images": "PEHRA_OS_IMAGES",
    "os_poll_s": "PEHRA_OS_POLL_S",
    "offline_after_s": "PEHRA_OFFLINE_AFTER_S",
}
_PORTS: Final = ("mqtt_port", "http_port")
_WHOLE: Final = (*_PORTS, "os_poll_s")
_FILES: Final = ("mqtt_ca", "mqtt_cert", "mqtt_key")
_FOLDERS: Final = ("home", "images", "image_repository", "os_images")


def load_settings(environment: Mapping[str, str], **arguments: object) -> Settings:
    """Return the settings; an argument that is not None wins over its variable.

    Raises:
        SettingsError: a value cannot be read, a file is not there, or a port is out of range.
        HomeUnusable: the home is none.
    """
    given: dict[str, Any] = {
        name: environment[variable] for name, variable in _VARIABLES.items() if environment.get(variable)
    }
    given |= {name: value for name, value in arguments.items() if value is not None}
    for name in given:
        given[name] = _converted(name, given[name])
    home = given.get("home")
    if home:
        given = _of_home(home) | given
    settings = Settings(**given, provider=load_provider(environment, home) if home else None)
    _check(settings)
    return settings


def parse_address(text: str, default_port: int) -> tuple[str, int]:
    """Return host and port of `HOST`, `HOST:PORT`, `V6` or `[V6]:PORT`.

    Raises:
        SettingsError: the port is not a number, or the host is empty.
    """
    host, colon, port = text.rpartition(":")
    is_bare_v6 = ":" in host and not host.startswith("[")
    if not colon or text.endswith("]") or is_bare_v6:
        host, port = text, str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()):
        raise SettingsError(f"{text!r} is no address: write HOST:PORT, for example 127.0.0.1:1883")
    return host, int(port)


def _of_home(folder: Path) -> dict[str, Any]:
    """Return what a home says where nothing else does.

    Raises:
        HomeUnusable: it is no home of a fleet.
    """
    home = Home(folder)
    addresses = home.read_addresses()
    return {
        "database_url": f"sqlite:///{home.database}",
        "http_port": addresses.https_port,
        "mqtt_port": addresses.mqtt_port,
        "mqtt_ca": home.authorities,
        "mqtt_cert": home.client,
        "mqtt_key": home.client,
    }


def _converted(name: str, value: object) -> object:
    try:
        if name in _WHOLE:
            return int(str(value))
        if name in (*_FILES, *_FOLDERS):
            return Path(str(value))
        return float(str(value)) if name == "offline_after_s" else value
    except ValueError as error:
        raise SettingsError(f"{_VARIABLES[name]} or its argument: {value!r} is not a number") from error


def _check(settings: Settings) -> None:
    for name in _PORTS:
        if not 1 <= getattr(settings, name) <= 65535:
            raise SettingsError(f"{name} {getattr(settings, name)}: a port is 1 to 65535")
    if not 1 <= settings.os_poll_s < 86_400:
        raise SettingsError(f"PEHRA_OS_POLL_S {settings.os_poll_s}: 1 to 86399 seconds")
    for name in _FILES:
        file = getattr(settings, name)
        if file is not None and not file.is_file():
            raise SettingsError(f"{_VARIABLES[name]}: there is no file {file}")
    if settings.images is not None and not settings.images.is_dir():
        raise SettingsError(
            f"--images {settings.images}: there is no such folder; `pehra ota publish` writes one"
        )
    if (settings.mqtt_cert is None) != (settings.mqtt_key is None):
        raise SettingsError("PEHRA_MQTT_CERT and PEHRA_MQTT_KEY belong together: give both or none")
    if settings.mqtt_cert and not settings.mqtt_ca:
        raise SettingsError("PEHRA_MQTT_CERT needs PEHRA_MQTT_CA: without it there would be no TLS at all")
    if not SILENCE_MIN_S <= settings.offline_after_s <= SILENCE_MAX_S:
        allowed = f"{SILENCE_MIN_S:.0f} to {SILENCE_MAX_S:.0f} seconds, because devices report every 20"
        raise SettingsError(f"--offline-after-s {settings.offline_after_s}: {allowed}")
    try:
        make_url(settings.database_url)
    except (ArgumentError, ValueError) as error:  # the URL may hold a password, so it is not repeated
        raise SettingsError(
            "--db or PEHRA_DB is no database URL: write sqlite:///FILE or "
            "postgresql+psycopg://USER:PASSWORD@HOST:PORT/NAME"
        ) from error
