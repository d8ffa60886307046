"""What a user can set or meet is written down, and nothing of this machine is."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from device.firmware import config as device_config
from device.firmware.config import load_config, parse_config
from device.firmware.config.rule import KINDS
from ota.messages import Channel
from tests.boards_on_a_cable import make_enrolled

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_example_configuration_leaves_to_the_fleet_what_the_fleet_says(tmp_path):
    """An enrolled board starts with it as it is."""
    make_enrolled(tmp_path)
    file = tmp_path / "device.toml"
    example = (ROOT / "device.example.toml").read_text()
    file.write_text(example.replace('"/var/lib/pehra"', f'"{tmp_path / "state"}"'))
    config = load_config(file)
    assert (config.device.id, config.device.site) == ("cam-01", "lahore/gulberg")
    assert (config.mqtt.host, config.mqtt.port) == ("127.0.0.1", 1)


def test_the_example_configuration_is_good_for_a_fleet_without_tickets_once_its_lines_are_written():
    file = ROOT / "device.example.toml"
    lines = r"(?m)^# (?=\[mqtt\]|id = |site = |timezone = |host = |port = |username = |password = |ca = )"
    config = parse_config(re.sub(lines, "", file.read_text()), file)
    assert (config.device.id, config.mqtt.host) == ("gulberg-01", "fleet.example.org")


@pytest.mark.parametrize(
    "section",
    [
        "Config",
        "DeviceSection",
        "MqttSection",
        "ModelSection",
        "OutboxSection",
        "RemoteSection",
        "UpdateSection",
        "ConsoleSection",
        "CameraSection",
        "MotionSection",
        "MaskSection",
        "ViewSection",
        "RuleSection",
    ],
)
def test_every_key_of_the_configuration_is_in_the_example_and_in_the_manual(section):
    example = (ROOT / "device.example.toml").read_text()
    manual = (ROOT / "docs" / "device.md").read_text()
    for key in getattr(device_config, section).__struct_fields__:
        assert re.search(rf"^(# )?(\[+(camera\.)?{key}\]+|{key} =)", example, re.MULTILINE), key
        assert f"`{key}`" in manual or f"[{key}]" in manual or f"{key}]" in manual, key


def test_every_channel_is_in_the_published_document():
    document = (ROOT / "docs" / "asyncapi.yaml").read_text()
    for channel in Channel:
        assert f"\n  {channel.value}:\n" in document


def _tracked_files():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.splitlines() if (ROOT / name).is_file()]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_no_file_names_a_package_registry_or_a_path_of_one_machine():
    hosts = [
        r"py" + r"pi\.org",
        r"files\.python" + "hosted",
        r"registry\.npm" + "js",
        r"deb\.deb" + r"ian\.org",
    ]
    machine = ["/wo" + r"rk/(main|shared)", "/ro" + r"ot/"]
    pattern = re.compile("|".join(hosts + machine))
    found = []
    for file in _tracked_files():
        if file.suffix in {".png", ".tflite", ".webp", ".mp4"}:
            continue
        if pattern.search(file.read_text("utf-8", errors="replace")):
            found.append(str(file.relative_to(ROOT)))
    assert not found


def test_every_requirement_of_a_lock_has_its_hash():
    for lock in (ROOT / "requirements").glob("*.lock"):
        for block in re.split(r"\n(?=[a-z0-9])", lock.read_text()):
            assert "--hash=sha256:" in block, f"{lock.name}: {block[:60]}"


def test_the_extras_of_the_wheel_are_the_ones_that_the_design_names():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras) == {"device", "tflite", "pi", "fleet", "field", "train", "dev"}


def test_every_relative_link_of_the_documents_leads_somewhere():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_configuration_to_try_in_the_manual_is_good():
    manual = (ROOT / "docs" / "device.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", manual, re.DOTALL)
    assert parse_config(text, Path("try.toml")).camera[0].source == "street"


def test_every_kind_of_rule_has_a_chapter_with_a_good_example_and_a_picture():
    manual = (ROOT / "docs" / "rules.md").read_text()
    for kind in KINDS:
        chapter = manual.split(f"\n## {kind}\n")[1].split("\n## ")[0]
        (picture,) = re.findall(r"!\[.+\]\((.+)\)", chapter)
        file = ROOT / "docs" / picture
        assert file.read_bytes()[:4] == b"\x89PNG"
        assert file.stat().st_size < 60 * 1024
        (example,) = re.findall(r"```toml\n(.*?)```", chapter, re.DOTALL)
        text = '[device]\nid = "try-01"\n[mqtt]\nhost = "x"\n[[camera]]\nsource = "street"\n' + example
        rules = parse_config(text, Path("rules.md")).camera[0].rule
        assert rules[-1].kind == kind
        assert "cannot" in chapter, "what it cannot do is said"


def test_every_key_of_a_rule_is_told_in_its_manual():
    manual = (ROOT / "docs" / "rules.md").read_text()
    for key in device_config.RuleSection.__struct_fields__:
        assert f"`{key}`" in manual or f"`{key} = " in manual, key
