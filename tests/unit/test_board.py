"""Boards are recognised by their device tree and tell what they know; garbage is told as nothing."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.board import Throttling, board, board_name, temperature_c
from hardware.board.profile import PROFILES, Thermal, profile_of, profiles
from tests.fake_board import NANO, ORIN, PI_4, PI_ZERO_2, FakeBoard

MODELS = [
    ("Raspberry Pi 3 Model B Rev 1.2", ["raspberrypi,3-model-b", "brcm,bcm2837"], "raspberry-pi-3"),
    ("Raspberry Pi 3 Model B Plus Rev 1.3", ["raspberrypi,3-model-b-plus", "brcm,bcm2837"], "raspberry-pi-3"),
    ("Raspberry Pi 3 Model A Plus Rev 1.0", ["raspberrypi,3-model-a-plus", "brcm,bcm2837"], "raspberry-pi-3"),
    (
        "Raspberry Pi Compute Module 3 Plus Rev 1.0",
        ["raspberrypi,3-compute-module", "brcm,bcm2837"],
        "raspberry-pi-3",
    ),
    (*PI_4, "raspberry-pi-4"),
    ("Raspberry Pi 400 Rev 1.0", ["raspberrypi,400", "brcm,bcm2711"], "raspberry-pi-4"),
    (
        "Raspberry Pi Compute Module 4 Rev 1.1",
        ["raspberrypi,4-compute-module", "brcm,bcm2711"],
        "raspberry-pi-4",
    ),
    ("Raspberry Pi 5 Model B Rev 1.0", ["raspberrypi,5-model-b", "brcm,bcm2712"], "raspberry-pi-5"),
    (
        "Raspberry Pi Compute Module 5 Rev 1.0",
        ["raspberrypi,5-compute-module", "brcm,bcm2712"],
        "raspberry-pi-5",
    ),
    (*PI_ZERO_2, "raspberry-pi-zero-2-w"),
    (*NANO, "jetson-nano"),
    (
        "NVIDIA Orin Nano Developer Kit",
        ["nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"],
        "jetson-orin",
    ),
    (*ORIN, "jetson-orin"),
    (
        "NVIDIA Jetson AGX Orin Developer Kit",
        ["nvidia,p3737-0000+p3701-0000", "nvidia,tegra234"],
        "jetson-orin",
    ),
    ("Radxa ROCK 5B", ["radxa,rock-5b", "rockchip,rk3588"], "generic"),
    ("", [], "generic"),
]


@pytest.mark.parametrize(("model", "compatible", "name"), MODELS, ids=[model[:30] for model, *_ in MODELS])
def test_a_board_is_recognised_by_its_device_tree(tmp_path, model, compatible, name):
    found = FakeBoard(tmp_path, model, compatible).board()
    assert found.profile.name == name
    assert found.name == model or (not model and found.name.startswith("generic "))


@pytest.mark.parametrize("model", ["Raspberry Pi Zero 2 W Rev 1.0", "Raspberry Pi 5 Model B Rev 1.0"])
def test_a_board_whose_tree_names_no_compatible_is_recognised_by_its_model(model):
    assert profile_of(model, []).title.startswith(model[:14])


def test_every_profile_is_whole_and_names_its_sources():
    known = profiles()
    assert {file.stem for file in PROFILES.glob("*.toml")} == set(known)
    assert len(known) >= 7
    for stem, profile in known.items():
        assert profile.name == stem
        assert profile.sources, stem
        assert profile.advice.model in {"street-2", "street-2-fast"}
        assert profile.thermal.steps_c[-1] < profile.thermal.throttles_c


@pytest.mark.parametrize(
    "change",
    [
        {"factors": [0.5]},
        {"steps_c": [70, 60, 75]},
        {"factors": [0.1, 0.25, 0.5]},
        {"steps_c": [70, 75, 80]},
        {"warm_c": 60},
        {"hold_s": 0},
    ],
)
def test_a_ladder_that_cannot_be_climbed_is_no_profile(change):
    good = {"sensors": ["x"], "throttles_c": 80, "steps_c": [70, 75, 79], "factors": [0.5, 0.25, 0.1]}
    assert msgspec.convert(good, Thermal).hold_s > 0
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(good | change, Thermal)


def test_a_broken_profile_is_refused_with_its_file(tmp_path):
    (tmp_path / "odd.toml").write_text('name = "odd"\nwarm = 3\n')
    with pytest.raises(ValueError, match=r"odd\.toml"):
        profiles(tmp_path)


def test_a_raspberry_pi_tells_all_that_it_knows(tmp_path):
    fake = FakeBoard(tmp_path, *PI_4)
    fake.zone(0, "cpu-thermal", 61_342)
    fake.throttled("50005\n")
    fake.monitor(1, "rpi_volt", in0_lcrit_alarm=1)
    fake.write("proc/meminfo", "MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable:  250 kB\n")
    fake.write("proc/uptime", "86400.52 340000.10\n")
    stat = fake.write("proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4\n")
    subject = fake.board()
    assert subject.reading(tmp_path).cpu_pct is None
    stat.write_text("cpu  150 0 125 750 175 0 0 0 0 0\n")
    seen = subject.reading(tmp_path)
    assert seen.temp_c == pytest.approx(61.342)
    assert seen.throttled is True
    assert seen.under_voltage is True
    assert seen.cpu_pct == pytest.approx(37.5)
    assert seen.mem_pct == pytest.approx(75.0)
    assert seen.uptime_s == pytest.approx(86_400.52)
    disk = shutil.disk_usage(tmp_path)
    assert seen.disk_pct == pytest.approx(100 * disk.used / (disk.used + disk.free), abs=0.3)
    assert seen.sd_wear_pct is None
    assert seen.power_mw is None


def test_a_board_that_tells_nothing_is_read_all_the_same(tmp_path):
    seen = FakeBoard(tmp_path / "none", *PI_4).board().reading(tmp_path / "no-disk")
    assert {seen.temp_c, seen.throttled, seen.under_voltage, seen.cpu_pct, seen.disk_pct, seen.power_mw} == {
        None
    }


GARBAGE = [
    "",
    "\n",
    "nonsense",
    "-",
    "0x",
    "99999999999999999999999999",
    "-274000",
    "1e9!",
    "\0\0\0",
    "é" * 9000,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_a_sensor_that_delivers_garbage_delivers_nothing(tmp_path, garbage):
    fake = FakeBoard(tmp_path, *PI_4)
    fake.zone(0, "cpu-thermal", garbage)
    fake.throttled(garbage)
    fake.monitor(0, "rpi_volt", in0_lcrit_alarm=garbage)
    for file in ("stat", "meminfo", "uptime"):
        fake.write(f"proc/{file}", garbage)
    for file in ("life_time", "pre_eol_info"):
        fake.write(f"sys/block/mmcblk0/device/{file}", garbage)
    subject = fake.board()
    for _ in range(2):
        seen = subject.reading(tmp_path)
    assert seen.temp_c is seen.throttling is seen.under_voltage is seen.cpu_pct is seen.mem_pct is None
    assert seen.sd_wear_pct is seen.pre_end_of_life is None


@given(st.binary(max_size=60))
def test_any_bytes_of_the_kernel_are_a_number_or_nothing(tmp_path_factory, payload):
    root = tmp_path_factory.mktemp("board")
    fake = FakeBoard(root, *PI_4)
    fake.zone(0, "cpu-thermal", 0).write_bytes(payload)
    for file in (
        "proc/stat",
        "proc/meminfo",
        "proc/uptime",
        "sys/block/mmcblk0/device/life_time",
        "sys/devices/platform/soc/soc:firmware/get_throttled",
    ):
        fake.write(file, "").write_bytes(payload)
    seen = fake.board().reading(root)
    assert seen.temp_c is None or -40 <= seen.temp_c <= 125
    assert seen.sd_wear_pct is None or 0 <= seen.sd_wear_pct <= 100


def test_a_folder_where_a_file_should_be_is_no_value(tmp_path):
    fake = FakeBoard(tmp_path, *PI_4)
    (fake.zone(0, "cpu-thermal", 1).parent / "temp").unlink()
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").mkdir()
    assert fake.board().temperature_c() is None


def test_the_sensor_that_matters_is_taken_and_not_the_first(tmp_path):
    fake = FakeBoard(tmp_path, *NANO)
    fake.zone(0, "AO-therm", 50_000)
    fake.zone(1, "CPU-therm", 41_500)
    fake.zone(2, "PMIC-Die", 100_000)
    fake.zone(10, "CPU-therm", 99_000)
    assert fake.board().temperature_c() == pytest.approx(41.5)


def test_a_pc_is_read_through_its_monitor(tmp_path):
    fake = FakeBoard(tmp_path)
    fake.zone(0, "acpitz", 27_800)
    fake.monitor(3, "coretemp", temp1_input=48_000)
    assert temperature_c(tmp_path) == pytest.approx(48.0)
    assert board_name(tmp_path).startswith("generic ")


def test_a_sensor_that_is_dead_leaves_it_to_the_next(tmp_path):
    fake = FakeBoard(tmp_path, *ORIN)
    fake.zone(0, "tj-thermal", 0)
    fake.zone(1, "cpu-thermal", 55_000)
    assert fake.board().temperature_c() == pytest.approx(55.0)


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x0, []),
        (0x50005, ["under-voltage now", "throttled now"]),
        (0x50000, ["under-voltage since the start", "throttled since the start"]),
        (0x80008, ["soft temperature limit now"]),
        (0xE0000, ["frequency capped since the start", "throttled since the start",
                   "soft temperature limit since the start"]),
        (0x20002, ["frequency capped now"]),
    ],
)  # fmt: skip
def test_the_bits_of_the_firmware_are_told_in_words(bits, words):
    assert Throttling(bits).words() == words


def test_a_board_that_only_had_low_voltage_once_is_not_under_voltage_now(tmp_path):
    fake = FakeBoard(tmp_path, *PI_4)
    fake.throttled("0x50000")
    seen = fake.board().reading(tmp_path)
    assert (seen.throttled, seen.under_voltage) == (False, False)
    assert seen.throttling.had_under_voltage()


def _program(folder: Path, body: str) -> str:
    file = folder / "vcgencmd"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return str(file)


def test_vcgencmd_is_asked_where_sysfs_tells_nothing(tmp_path):
    program = _program(tmp_path, 'test "$1" = get_throttled && echo throttled=0x50005')
    assert FakeBoard(tmp_path, *PI_4).board(program).reading().throttling == Throttling(0x50005)


def test_sysfs_comes_before_vcgencmd(tmp_path):
    fake = FakeBoard(tmp_path, *PI_4)
    fake.throttled("0")
    program = _program(tmp_path, "echo throttled=0x50005")
    assert fake.board(program).reading().throttling == Throttling(0)


@pytest.mark.parametrize(
    "body", ["exit 1", "echo VCHI initialization failed", "echo throttled=", "kill -9 $$"]
)
def test_a_vcgencmd_that_fails_is_no_value(tmp_path, body):
    assert FakeBoard(tmp_path, *PI_4).board(_program(tmp_path, body)).reading().throttled is None


def test_a_vcgencmd_that_hangs_is_given_up_and_not_asked_again(tmp_path, monkeypatch):
    monkeypatch.setattr("hardware.board.throttling.VCGENCMD_S", 0.2)
    asked = tmp_path / "asked"
    subject = FakeBoard(tmp_path, *PI_4).board(_program(tmp_path, f"echo x >> {asked}; exec sleep 60"))
    assert subject.reading().throttled is None
    assert subject.reading().throttled is None
    assert asked.read_text() == "x\n"


def test_a_pc_asks_no_vcgencmd(tmp_path):
    program = _program(tmp_path, "echo throttled=0x50005")
    assert FakeBoard(tmp_path).board(program).reading().throttled is None


@pytest.mark.parametrize(
    ("life_time", "wear"),
    [
        ("0x01 0x01", 10),
        ("0x02 0x05", 50),
        ("0x0b 0x01", 100),
        ("0x00 0x00", None),
        ("0x0c 0x01", None),
        ("x", None),
    ],
)
def test_the_wear_of_emmc_is_the_worse_of_its_two_estimates(tmp_path, life_time, wear):
    fake = FakeBoard(tmp_path, *PI_4)
    fake.write("sys/block/mmcblk0/device/life_time", f"{life_time}\n")
    fake.write("sys/block/mmcblk0/device/pre_eol_info", "0x02\n")
    seen = fake.board().reading(tmp_path)
    assert seen.sd_wear_pct == wear
    assert seen.pre_end_of_life == 2


def test_an_sd_card_says_nothing_of_its_wear(tmp_path):
    fake = FakeBoard(tmp_path, *PI_4)
    fake.write("sys/block/mmcblk0/device/type", "SD\n")
    assert fake.board().reading(tmp_path).sd_wear_pct is None


def test_a_jetson_with_the_kernels_monitor_tells_its_power(tmp_path):
    fake = FakeBoard(tmp_path, *ORIN)
    fake.monitor(0, "nvme", temp1_input=30_000)
    fake.monitor(
        1, "ina3221",
        in1_label="VDD_IN", in1_input=5_080, curr1_input=1_250,
        in2_label="VDD_CPU_GPU_CV", in2_input=5_080, curr2_input=300,
    )  # fmt: skip
    assert fake.board().reading(tmp_path).power_mw == 6_350


def test_a_jetson_nano_with_nvidias_own_driver_tells_its_power(tmp_path):
    fake = FakeBoard(tmp_path, *NANO)
    for channel, (rail, milliwatts) in enumerate([("POM_5V_GPU", 40), ("POM_5V_IN", 2_310)]):
        fake.write(f"sys/bus/iio/devices/iio:device0/rail_name_{channel}", f"{rail}\n")
        fake.write(f"sys/bus/iio/devices/iio:device0/in_power{channel}_input", f"{milliwatts}\n")
    assert fake.board().reading(tmp_path).power_mw == 2_310


def test_a_power_monitor_without_its_current_tells_no_power(tmp_path):
    fake = FakeBoard(tmp_path, *ORIN)
    fake.monitor(1, "ina3221", in1_label="VDD_IN", in1_input=5_080)
    assert fake.board().reading(tmp_path).power_mw is None


def test_this_machine_is_read_as_its_kernel_counts(tmp_path):
    subject = board()
    seen = subject.reading(tmp_path)
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME) if os.uname().sysname == "Linux" else None
    assert seen.mem_pct is not None
    assert 0 < seen.mem_pct < 100
    assert now_s is None or seen.uptime_s is not None
    assert subject.name
