"""Settings: arguments win over the environment, mistakes are named, secrets are masked."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import DatabaseUnusable, SettingsError
from fleet.link import Link
from fleet.settings import Settings, load_settings, parse_address
from fleet.store.database import open_database


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
        *(({"PEHRA_OFFLINE_AFTER_S": text}, "25 to 600") for text in ("0", "19", "nan", "inf", "601")),
        ({"PEHRA_DB": "not a url"}, "no database URL"),
        ({"PEHRA_DB": "postgresql+psycopg://u:p@h:port/d"}, "no database URL"),
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


def test_a_certificate_without_an_authority_is_refused_because_tls_would_be_off(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.touch()
    with pytest.raises(SettingsError, match="PEHRA_MQTT_CA"):
        load_settings({"PEHRA_MQTT_CERT": str(file), "PEHRA_MQTT_KEY": str(file)})


def test_a_tls_file_that_is_no_pem_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(SettingsError, match="PEM file"):
        Link(Settings(mqtt_ca=file), lambda *_: None)


def test_secrets_are_in_no_text_of_ours() -> None:
    assert "hidden" not in repr(Settings(mqtt_password="hidden", database_url="postgresql://u:hidden@h/d"))
    for url in ("postgresql+psycopg:/u:hidden@h/d", "postgresql+psycopg://u:hidden@h:port/d"):
        with pytest.raises(SettingsError) as raised:
            load_settings({"PEHRA_DB": url})
        assert "hidden" not in str(raised.value)
    with pytest.raises(DatabaseUnusable) as refused:
        open_database("postgresql+psycopg://u:hidden@127.0.0.1:1/d?password=hidden")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("broker", ("broker", 1883)),
        ("broker:99", ("broker", 99)),
        ("[::1]:99", ("::1", 99)),
        ("[::1]", ("::1", 1883)),
        ("::1", ("::1", 1883)),
    ],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, 1883) == address


@pytest.mark.parametrize("text", ["", ":1883", "broker:x", "broker:\u00b2"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        parse_address(text, 1883)
