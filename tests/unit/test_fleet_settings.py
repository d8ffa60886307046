"""Settings: arguments win over the environment, mistakes are named, secrets are masked."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import SettingsError
from fleet.settings import Settings, load_settings, parse_address


def test_an_argument_wins_over_its_variable() -> None:
    settings = load_settings(
        {"PEHRA_HTTP_PORT": "9000", "PEHRA_MQTT_HOST": "broker"}, http_port=9001, mqtt_host=None
    )
    assert (settings.http_port, settings.mqtt_host) == (9001, "broker")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PEHRA_HTTP_PORT": "x"}, "PEHRA_HTTP_PORT"),
        ({"PEHRA_MQTT_PORT": "70000"}, "1 to 65535"),
        ({"PEHRA_MQTT_CA": "/nowhere/ca.pem"}, "there is no file"),
        ({"PEHRA_OFFLINE_AFTER_S": "0"}, "more than 0"),
        ({"PEHRA_DB": "not a url"}, "no database URL"),
    ],
)
def test_a_mistake_is_named(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load_settings(environment)


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.touch()
    with pytest.raises(SettingsError, match="belong together"):
        load_settings({"PEHRA_MQTT_CERT": str(file)})


def test_secrets_are_masked() -> None:
    shown = Settings(mqtt_password="hidden", database_url="postgresql+psycopg://u:hidden@h/d").masked()
    assert "hidden" not in str(shown)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("broker", ("broker", 1883)),
        ("broker:99", ("broker", 99)),
        ("[::1]:99", ("::1", 99)),
        ("[::1]", ("::1", 1883)),
    ],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, 1883) == address


@pytest.mark.parametrize("text", ["", ":1883", "broker:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        parse_address(text, 1883)
