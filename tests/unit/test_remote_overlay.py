"""An overlay from the fleet: what it may change, and how what is wrong with it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import ConfigError
from device.firmware.config import parse_config
from device.firmware.remote import overlaid
from ota.messages.desired import MAX_OVERLAY_BYTES

TWO_EYES = """\
[device]
id = "cam-01"

[mqtt]
host = "fleet.example"
password = "hunter2"

[[camera]]
source = "street"
rule = [{ name = "gate", kind = "line", points = [[0.1, 0.5], [0.9, 0.5]] }]

[[camera]]
id = "cam1"
source = "webcam"
fps = 5
"""
BASE = parse_config(TWO_EYES, Path("device.toml"))
BAD_ZONE = '[[camera]]\nid = "cam1"\n[[camera.rule]]\nname = "yard"\nkind = "zone"\n'
ZONE = '[[camera.rule]]\nname = "yard"\nkind = "zone"\npoints = [[0.1, 0.5], [0.9, 0.5], [0.5, 0.9]]\n'


def test_an_empty_overlay_changes_nothing():
    assert overlaid(BASE, "") == BASE


def test_cameras_are_found_by_their_id_and_tables_joined_while_lists_are_replaced():
    text = 'health_s = 5\n[model]\nconf = 0.4\n[[camera]]\nid = "cam1"\nfps = 8\n'
    text += f"[camera.motion]\nhold_s = 2\n{ZONE}"
    config = overlaid(BASE, text)
    assert (config.health_s, config.model.conf, config.model.name) == (5, 0.4, "street-2")
    assert config.camera[0] == BASE.camera[0]
    second = config.camera[1]
    assert (second.fps, second.source, second.motion.hold_s, second.motion.enabled) == (8, "webcam", 2, True)
    assert [rule.name for rule in second.rule] == ["yard"]
    replaced = overlaid(BASE, f'[[camera]]\nid = "cam0"\n{ZONE}')
    assert [rule.name for rule in replaced.camera[0].rule] == ["yard"]


@pytest.mark.parametrize(
    ("text", "path", "line", "words"),
    [
        ('[device]\nid = "cam-02"', "device", 1, "own file"),
        ('[mqtt]\nhost = "evil.example"', "mqtt", 1, "own file"),
        ("[remote]\nconfirm_s = 1", "remote", 1, "own file"),
        ("[outbox]\nmax_mb = 1", "outbox", 1, "own file"),
        ('[[camera]]\nid = "cam0"\nsource = "rtsp://x/y"', "camera[0].source", 3, "own file"),
        ('[[camera]]\nid = "cam7"', "camera[0].id", 2, "cam0, cam1"),
        ("[[camera]]\nfps = 5", "camera[0].id", 1, "cam0, cam1"),
        ('[[camera]]\nid = "cam0"\n[[camera]]\nid = "cam0"', "camera[1].id", 4, "twice"),
        ("camera = 7", "camera", 1, "list of tables"),
        ("wheels = 4", "wheels", 1, "unknown field"),
        ('[[camera]]\nid = "cam1"\nzoom = 2', "camera[0].zoom", 3, "unknown field"),
        ('[[camera]]\nid = "cam1"\nfps = 0', "camera[0].fps", 3, "> 0"),
        ('[model]\nname = "street-99"', "model.name", 2, "street-2"),
        ('[model]\nname = "/etc/passwd"', "model.name", 2, "path"),
        ('[model]\nname = "../x.tflite"', "model.name", 2, "path"),
        (BAD_ZONE + "points = [[0, 0], [1, 0], [0, 1.9]]", "camera[0].rule[0].points[2][1]", 6, "1"),
        (f'[[camera]]\nid = "cam1"\n{ZONE}classes = ["cow"]', "camera[0].rule[0].classes", 7, "'cow'"),
        ("health_s = ]\n", "", 1, "TOML"),
        ("x = " + "[" * 3000, "", None, "TOML"),
        ("x = " + "9" * 6000, "", None, "TOML"),
        ("#" * 5_000_000, "", None, "5000000 bytes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_the_path_and_line_of_the_overlay(text, path, line, words):
    with pytest.raises(ConfigError) as caught:
        overlaid(BASE, text)
    assert caught.value.path == path
    assert words in caught.value.reason
    assert line is None or caught.value.line == line


def test_an_overlay_of_five_megabytes_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("device.firmware.remote.overlay.read_table", None)
    with pytest.raises(ConfigError, match=str(MAX_OVERLAY_BYTES)):
        overlaid(BASE, "#" * 5_000_000)


def test_a_fault_that_the_overlay_makes_in_the_devices_own_rules_says_where_it_lies(monkeypatch):
    def blind(config, text, path):
        raise ConfigError(None, None, "camera[0].rule[0].classes", "cannot see person")

    monkeypatch.setattr("device.firmware.remote.overlay.check_model", blind)
    with pytest.raises(ConfigError, match="own file"):
        overlaid(BASE, '[[camera]]\nid = "cam1"\nfps = 3')


@given(st.text(max_size=200))
def test_any_text_is_an_overlay_or_a_config_error(text):
    try:
        overlaid(BASE, text)
    except ConfigError:
        return


KEYS = st.sampled_from(
    ["camera", "id", "fps", "rule", "mask", "points", "model", "motion", "name", "device", "x"]
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_tree_is_an_overlay_or_a_config_error(tree):
    from unittest.mock import patch

    with patch("device.firmware.remote.overlay.read_table", lambda text, path: tree):
        try:
            overlaid(BASE, "")
        except ConfigError:
            return
