"""The live picture: small, masked, only over the cable, and nowhere on a disk."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPConnection

import cv2
import msgspec
import numpy as np
import pytest

from device.firmware.console.aim import Aim, View
from device.firmware.console.picture import GRADES, MOST_BYTES, budget_bytes, small_picture
from device.firmware.masks import PAINT
from device.firmware.remote import ConfigStore
from device.firmware.remote.store import Kept
from hardware.camera.frame import Frame
from ota.cable import Refused
from pehra.provision.aim_page import page_of
from pehra.provision.aim_terminal import UPPER_HALF, drawn
from pehra.provision.errors import BoardRefused, PictureUnwanted
from pehra.provision.watching import Watching, refuse_networks
from tests.boards_on_a_cable import make_desk, on_a_cable, on_a_socket, session_on, write_config

LEFT_HALF = '[[camera.mask]]\nname = "left"\npoints = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]\n'


def grey(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)


def greeted(port):
    session = session_on(port)
    session.greet("test")
    return session


def refusal(folder, camera=""):
    """What a board says that shows nothing."""
    with on_a_cable(folder) as cable, greeted(cable.laptop_port) as session:
        try:
            session.picture(camera)
        except BoardRefused as error:
            return error
    raise AssertionError("it showed a picture")


def frame(width=640, height=480):
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    return Frame(cv2.GaussianBlur(pixels, (9, 9), 0), "rgb", width, height, 0.0, 0.0, 0)


# --- what is shown -----------------------------------------------------------------------------------------


def test_a_picture_comes_over_a_serial_line_as_a_small_jpeg(tmp_path):
    write_config(tmp_path)
    with on_a_cable(tmp_path) as cable, greeted(cable.laptop_port) as session:
        told, jpeg = session.picture("cam0")
    assert (told.camera, told.bytes) == ("cam0", len(jpeg))
    assert grey(jpeg).shape == (told.height, told.width)
    assert max(told.width, told.height) <= 320
    assert len(jpeg) <= budget_bytes(11_520)
    assert told.focus > 0


@pytest.mark.parametrize("where", ["own file", "from the fleet"])
def test_masks_are_painted_before_the_picture_is_made(tmp_path, where):
    write_config(tmp_path, LEFT_HALF if where == "own file" else "")
    if where == "from the fleet":
        overlay = '[[camera]]\nid = "cam0"\n[[camera.mask]]\nname = "left"\n' + LEFT_HALF.splitlines()[2]
        ConfigStore(tmp_path / "state" / "config").confirm(Kept(1, "a", "", overlay))
    with on_a_socket(tmp_path) as address, greeted(address) as session:
        _, jpeg = session.picture()
    picture = grey(jpeg)
    width = picture.shape[1]
    assert np.abs(picture[:, : width // 2 - 8].astype(int) - PAINT).max() <= 6
    assert picture[:, width // 2 + 8 :].std() > 10


OVERLAY = '[[camera]]\nid = "cam0"\n[[camera.mask]]\nname = "left"\n' + LEFT_HALF.splitlines()[2]


def is_left_half_masked(view):
    picture = grey(view.small.jpeg)
    return np.abs(picture[:, : picture.shape[1] // 2 - 8].astype(int) - PAINT).max() <= 6


@pytest.mark.parametrize("where", ["own file", "trial", "from the fleet"])
def test_a_mask_that_is_added_while_somebody_looks_holds_at_the_next_picture(tmp_path, where):
    file, state = write_config(tmp_path), tmp_path / "state"
    aim, store = Aim(file, state), ConfigStore(state / "config")
    try:
        assert not is_left_half_masked(aim.view("", MOST_BYTES, threading.Event()))
        capture = aim._open.capture
        if where == "own file":
            write_config(tmp_path, LEFT_HALF)
        elif where == "trial":
            store.begin_trial(Kept(1, "a", "", OVERLAY))
        else:
            store.confirm(Kept(1, "a", "", OVERLAY))
        assert is_left_half_masked(aim.view("", MOST_BYTES, threading.Event()))
        assert aim._open.capture is capture, "the camera stays open"
    finally:
        aim.end()


def test_a_configuration_that_breaks_while_somebody_looks_shows_nothing_more(tmp_path):
    file, state = write_config(tmp_path), tmp_path / "state"
    aim = Aim(file, state)
    try:
        assert isinstance(aim.view("", MOST_BYTES, threading.Event()), View)
        file.write_text("[nonsense]\n")
        refused = aim.view("", MOST_BYTES, threading.Event())
        assert isinstance(refused, Refused)
        assert "masks are not known" in refused.reason
        assert not aim.is_open
    finally:
        aim.end()


def test_other_settings_that_change_while_somebody_looks_follow_with_the_picture_after(tmp_path):
    file, state = write_config(tmp_path), tmp_path / "state"
    aim = Aim(file, state)
    try:
        aim.view("", MOST_BYTES, threading.Event())
        capture = aim._open.capture
        write_config(tmp_path, "width = 320\nheight = 240\n" + LEFT_HALF)
        for _ in range(2):
            assert is_left_half_masked(aim.view("", MOST_BYTES, threading.Event()))
        assert aim._open.capture is not capture
    finally:
        aim.end()


def test_nothing_is_shown_while_the_masks_are_not_known_for_certain(tmp_path):
    write_config(tmp_path, "[nonsense]\n")
    assert "masks are not known" in refusal(tmp_path).reason


def test_nothing_is_shown_where_the_fleets_masks_do_not_hold(tmp_path):
    write_config(tmp_path)
    ConfigStore(tmp_path / "state" / "config").confirm(Kept(1, "a", "", "[[camera]]\nid = 'other'\n"))
    assert "masks are not known" in refusal(tmp_path).reason


def test_a_board_without_a_configuration_shows_the_source_that_was_named(tmp_path):
    file, state = tmp_path / "device.toml", tmp_path / "state"
    nothing = Aim(file, state).view("", 5000, threading.Event())
    assert isinstance(nothing, Refused)
    aim = Aim(file, state, source="street")
    try:
        assert isinstance(aim.view("", 5000, threading.Event()), View)
    finally:
        aim.end()


def test_a_camera_that_is_not_there_is_told_with_those_that_are(tmp_path):
    write_config(tmp_path)
    assert refusal(tmp_path, "cam7").todo == "there are cam0"


@pytest.mark.parametrize("baud", [9600, 57_600, 115_200, 921_600])
def test_a_picture_is_as_good_as_the_line_is_fast(baud):
    small = small_picture(frame(), budget_bytes(baud / 10))
    assert len(small.jpeg) <= max(budget_bytes(baud / 10), len(small_picture(frame(), 0).jpeg))


def test_a_fast_line_gets_colour_and_a_slow_one_still_gets_a_picture():
    best, least = small_picture(frame(), MOST_BYTES * 2), small_picture(frame(), 0)
    assert (best.width, best.height) == (320, 240)
    assert cv2.imdecode(np.frombuffer(best.jpeg, np.uint8), cv2.IMREAD_UNCHANGED).ndim == 3
    assert max(least.width, least.height) == GRADES[-1].side
    assert len(least.jpeg) < 1600


@pytest.mark.parametrize(("width", "height"), [(32, 4096), (4096, 32), (64, 48)])
def test_a_picture_of_any_shape_fits(width, height):
    small = small_picture(frame(width, height), MOST_BYTES)
    assert min(small.width, small.height) >= 1
    assert max(small.width, small.height) <= 320


# --- whose camera it is ------------------------------------------------------------------------------------


def test_a_camera_that_the_service_has_is_not_taken_from_it(tmp_path):
    file = write_config(tmp_path)
    file.write_text(file.read_text().replace('"street:seed=3"', '"webcam:7"'))
    with (tmp_path / "state" / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = refusal(tmp_path)
    assert refused.code == "busy"
    assert "systemctl stop pehra-device" in refused.todo


def test_a_camera_that_cannot_be_opened_is_told(tmp_path):
    file = write_config(tmp_path)
    file.write_text(file.read_text().replace('"street:seed=3"', f'"{tmp_path}/no.mp4"'))
    refused = refusal(tmp_path)
    assert refused.code == "camera"
    assert "no.mp4" in refused.reason


def test_the_camera_is_closed_when_nobody_asks_any_more(tmp_path):
    write_config(tmp_path)
    desk = make_desk(tmp_path, aim=Aim(tmp_path / "device.toml", tmp_path / "state", rest_s=0.0))
    with on_a_cable(tmp_path, desk) as cable, greeted(cable.laptop_port) as session:
        session.picture()
        wait_until(lambda: not desk.aim.is_open)


def test_the_camera_is_closed_when_the_cable_is_pulled_out(tmp_path):
    write_config(tmp_path)
    desk = make_desk(tmp_path)
    with on_a_cable(tmp_path, desk) as cable:
        session = greeted(cable.laptop_port)
        session.picture()
        assert desk.aim.is_open
        cable.pull_out()
        wait_until(lambda: not desk.aim.is_open)
        session.__exit__(None, None, None)


def wait_until(condition, limit_s=30.0):
    end_s = time.monotonic() + limit_s
    changed = threading.Event()
    while not condition():
        assert time.monotonic() < end_s
        changed.wait(0.02)


# --- where it never goes -----------------------------------------------------------------------------------

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_watched: list[list[str]] = []


def _note_writes(event, arguments):
    if _watched and event == "open":
        path, _, flags = arguments
        is_written = isinstance(flags, int) and flags & _WRITES
        if is_written and not str(path).startswith(("/dev/", "/proc/")):
            _watched[-1].append(str(path))


sys.addaudithook(_note_writes)


def test_neither_side_opens_a_file_to_write_while_pictures_are_shown(tmp_path, monkeypatch):
    write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    with on_a_cable(tmp_path) as cable, greeted(cable.laptop_port) as session:
        before = {path for path in tmp_path.rglob("*") if path.is_file()}
        opened = []
        _watched.append(opened)
        try:
            watching, stop = Watching(session), threading.Event()
            thread = threading.Thread(target=watching.run, args=(stop,))
            thread.start()
            with (
                page_of(watching) as address,
                urllib.request.urlopen(address + "stream", timeout=20) as stream,
            ):
                assert b"\xff\xd8" in stream.read(3000)
                shot = watching.after(0, 20)
                drawn(shot.jpeg, 80, 24)
            stop.set()
            thread.join(20)
        finally:
            _watched.clear()
        assert opened == []
        assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_console_knows_no_way_to_the_fleet():
    program = (
        "import sys, device.firmware.console, pehra.provision.session, pehra.provision.watching\n"
        "ways = ('paho', 'device.firmware.link', 'device.firmware.outbox', 'device.firmware.delivery')\n"
        "print([name for name in sys.modules if name.startswith(ways)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "port",
    ["socket://10.0.0.5:4000", "rfc2217://example.org:4000", "socket://[2001:db8::1]:5", "socket://:5"],
)
def test_a_picture_over_a_network_is_refused(port):
    with pytest.raises(PictureUnwanted, match="cable of this machine only"):
        refuse_networks(port)


@pytest.mark.parametrize("port", ["/dev/ttyUSB0", "COM3", "socket://127.0.0.1:4000", "socket://[::1]:5", ""])
def test_a_picture_over_a_cable_of_this_machine_is_not(port):
    refuse_networks(port)


# --- the page ----------------------------------------------------------------------------------------------


class _Still:
    """A session that always sees the same."""

    def picture(self, camera):
        from ota.cable import Picture

        jpeg = small_picture(frame(), 5000).jpeg
        return Picture(camera="cam0", width=320, height=240, bytes=len(jpeg)), jpeg


@pytest.fixture
def page():
    watching, stop = Watching(_Still()), threading.Event()
    thread = threading.Thread(target=watching.run, args=(stop,))
    thread.start()
    with page_of(watching) as address:
        yield address
    stop.set()
    thread.join(20)


def got(address, path=None, host=None, method="GET"):
    netloc, _, rest = address.removeprefix("http://").partition("/")
    connection = HTTPConnection(netloc, timeout=20)
    try:
        connection.request(method, path or f"/{rest}", headers={"Host": host or netloc})
        answer = connection.getresponse()
        is_stream = answer.getheader("Content-Type", "").startswith("multipart")
        return answer.status, dict(answer.getheaders()), answer.read(4000) if is_stream else answer.read()
    finally:
        connection.close()


def test_the_page_shows_a_stream_of_pictures_and_lets_nothing_keep_them(page):
    status, headers, body = got(page)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert b'<img src="stream"' in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    status, headers, body = got(page + "stream")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert headers["Content-Type"].startswith("multipart/x-mixed-replace")
    assert b"image/jpeg" in body
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example:80", "127.0.0.1", "127.0.0.1.nip.io:{port}", "localhost:1", " "]
)
def test_a_request_by_another_name_is_refused(page, host):
    port = page.split(":")[2].partition("/")[0]
    status, _, body = got(page + "stream", host=host.format(port=port))
    assert status == 421
    assert b"\xff\xd8" not in body


@pytest.mark.parametrize("path", ["/", "/stream", "/x/stream", "/../stream", "/%00/"])
def test_whoever_does_not_know_the_path_sees_nothing(page, path):
    status, headers, body = got(page, path)
    assert (status, headers["Cache-Control"]) == (404, "no-store")
    assert b"\xff\xd8" not in body


def test_only_looking_is_possible(page):
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert got(page, method=method)[0] == 501


def test_the_page_is_on_the_loopback_and_at_another_path_each_time(page):
    assert page.startswith("http://127.0.0.1:")
    with page_of(Watching(_Still())) as other:
        assert other.rsplit("/", 2)[1] != page.rsplit("/", 2)[1]
        assert len(other.rsplit("/", 2)[1]) >= 32


def test_pictures_are_fetched_only_while_somebody_looks():
    class Counting(_Still):
        taken = 0

        def picture(self, camera):
            self.taken += 1
            return super().picture(camera)

    session, stop = Counting(), threading.Event()
    watching = Watching(session)
    thread = threading.Thread(target=watching.run, args=(stop,))
    thread.start()
    assert watching.after(0, 0.5) is None
    assert session.taken == 0
    watching.begin_to_look()
    assert watching.after(0, 20) is not None
    watching.end_to_look()
    assert watching.after(0, 0.1) is None
    stop.set()
    thread.join(20)


def test_a_terminal_draws_two_pixels_to_a_letter():
    text = drawn(small_picture(frame(), MOST_BYTES).jpeg, 40, 10)
    lines = text.plain.splitlines()
    assert len(lines) == 10
    assert set("".join(lines)) == {UPPER_HALF}
    assert max(map(len, lines)) <= 40


def test_what_is_no_picture_is_not_drawn():
    with pytest.raises(OSError, match="cannot identify"):
        drawn(b"\xff\xd8 no picture", 40, 10)


def test_the_message_that_ends_a_picture_carries_no_pixel():
    from ota.cable import Picture

    assert {field.type for field in msgspec.structs.fields(Picture)}.isdisjoint({bytes, bytearray})
