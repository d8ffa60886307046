"""Network cameras over real sockets: RTSP, MPEG-TS over TCP, Motion JPEG over HTTP; there, gone and back."""

from __future__ import annotations

import io
import itertools
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

import av
import cv2
import numpy as np
import pytest

from hardware.camera.capture import BackOff, Capture
from hardware.camera.frame import Pixels
from hardware.camera.stream import StreamCamera
from hardware.errors import CameraUnavailable

WIDTH, HEIGHT, FPS = 160, 120, 25
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40))
PATIENCE_S = (10.0, 2.0)


def quadrants() -> Pixels:
    """A picture that tells left from right, top from bottom and red from blue."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for colour, (row, column) in zip(COLOURS, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
        picture[row * 60 : row * 60 + 60, column * 80 : column * 80 + 80] = colour
    return picture


def transport_stream() -> Iterator[bytes]:
    """MPEG-TS packets of 188 bytes, one second of video, over and over with time going on."""
    for round_number in itertools.count():
        target = io.BytesIO()
        with av.open(target, "w", format="mpegts") as container:
            stream = container.add_stream("mpeg2video", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.bit_rate, stream.gop_size = 1_000_000, 5
            for index in range(FPS):
                frame = av.VideoFrame.from_ndarray(quadrants(), format="rgb24")
                frame.pts = round_number * FPS + index
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        data = target.getvalue()
        yield from (data[at : at + 188] for at in range(0, len(data), 188))


class Peer:
    """A camera on a socket: serves one client after the other until it is switched off."""

    def __init__(self, serve: Callable[[socket.socket, threading.Event], None], port: int = 0) -> None:
        self._serve, self._off = serve, threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def switch_off(self) -> None:
        self._off.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._listener.close()

    def _run(self) -> None:
        while not self._off.is_set():
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                client.settimeout(5)
                with client, suppress(OSError):
                    self._serve(client, self._off)


def paced(chunks: Iterator[bytes], off: threading.Event) -> Iterator[bytes]:
    """About a second of stream in a second, with the first one at once."""
    for count, chunk in enumerate(chunks):
        if count > 400 and off.wait(0.003):
            return
        if off.is_set():
            return
        yield chunk


def serve_tcp(client: socket.socket, off: threading.Event) -> None:
    for packet in paced(transport_stream(), off):
        client.sendall(packet)


def serve_http(client: socket.socket, off: threading.Event) -> None:
    client.recv(4096)
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
    photo = cv2.imencode(".jpg", quadrants()[:, :, ::-1])[1].tobytes()
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n\r\n".encode()
    while not off.wait(0.02):
        client.sendall(head + photo + b"\r\n")


def serve_silence(client: socket.socket, off: threading.Event) -> None:
    off.wait(30)


def serve_rtsp(client: socket.socket, off: threading.Event) -> None:
    """RTSP 1.0 (RFC 2326) with RTP interleaved (10.12): MPEG-TS in RTP (RFC 2250), payload type 33."""
    sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=peer\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track1\r\n"
    answers = {
        "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n",
        "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}",
        "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n",
        "PLAY": "Session: 1\r\n\r\n",
    }
    method = ""
    while method != "PLAY":
        request = client.recv(4096).decode()
        method = request.partition(" ")[0]
        if method not in answers:
            return
        sequence = re.search(r"CSeq: (\d+)", request)
        assert sequence is not None
        client.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {sequence[1]}\r\n{answers[method]}".encode())
    packets = paced(transport_stream(), off)
    for number in itertools.count():
        payload = b"".join(islice(packets, 7))
        if not payload:
            return
        rtp = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, number * 3600 & 0xFFFFFFFF, 7) + payload
        client.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)


SERVERS = {"rtsp": serve_rtsp, "tcp": serve_tcp, "http": serve_http}


@pytest.fixture
def switched_on() -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def switch_on(serve: Callable[[socket.socket, threading.Event], None], port: int = 0) -> Peer:
        peers.append(Peer(serve, port))
        return peers[-1]

    yield switch_on
    for peer in peers:
        peer.switch_off()


def camera_at(scheme: str, port: int, fps: float = 0) -> StreamCamera:
    return StreamCamera(f"{scheme}://127.0.0.1:{port}/live", size=(80, 80), fps=fps, timeout_s=PATIENCE_S)


@pytest.mark.parametrize("scheme", SERVERS)
def test_a_stream_gives_the_pictures_that_were_sent(switched_on, scheme):
    peer = switched_on(SERVERS[scheme])
    camera, stop = camera_at(scheme, peer.port), threading.Event()
    frames = list(islice(camera.frames(stop), 5))
    camera.close()
    assert [f.seq for f in frames] == [0, 1, 2, 3, 4]
    assert {(f.width, f.height, f.layout) for f in frames} == {(80, 60, "i420")}
    rgb = frames[-1].to_rgb().astype(int)
    for colour, (row, column) in zip(COLOURS, ((15, 20), (15, 60), (45, 20), (45, 60)), strict=True):
        np.testing.assert_allclose(rgb[row, column], colour, atol=16)


def test_a_stream_is_thinned_to_the_asked_rate(switched_on):
    camera = camera_at("http", switched_on(serve_http).port, fps=5)
    frames = list(islice(camera.frames(threading.Event()), 4))
    camera.close()
    assert np.diff([f.mono_s for f in frames]).min() > 0.1


@pytest.mark.parametrize("scheme", SERVERS)
def test_a_camera_that_is_switched_off_is_lost_and_found_again(switched_on, scheme):
    peer = switched_on(SERVERS[scheme])
    capture = Capture(
        lambda: camera_at(scheme, peer.port), back_off=BackOff(first_s=0.05, longest_s=0.2, steady_s=60)
    )
    capture.start()
    try:
        assert capture.newest(20) is not None
        peer.switch_off()
        wait_until(lambda: capture.state == "lost")
        assert capture.last_error is not None
        switched_on(SERVERS[scheme], peer.port)
        wait_until(lambda: capture.state == "ok")
        assert capture.reopened == 1
        while capture.newest(0) is not None:
            pass
        assert capture.newest(20) is not None
    finally:
        capture.stop()


def test_a_camera_that_connects_and_says_nothing_is_unavailable(switched_on):
    peer = switched_on(serve_silence)
    began_s = time.monotonic()
    with pytest.raises(CameraUnavailable, match=r"nothing came in time.*network"):
        StreamCamera(f"tcp://127.0.0.1:{peer.port}", size=(80, 80), fps=5, timeout_s=(0.5, 0.5))
    assert time.monotonic() - began_s < 20


def test_a_camera_that_falls_silent_is_unavailable(switched_on):
    def fall_silent(client: socket.socket, off: threading.Event) -> None:
        for packet in islice(transport_stream(), 500):
            client.sendall(packet)
        off.wait(30)

    peer = switched_on(fall_silent)
    camera = StreamCamera(f"tcp://127.0.0.1:{peer.port}", size=(80, 80), fps=0, timeout_s=(10, 0.5))
    with pytest.raises(CameraUnavailable, match="nothing came in time"):
        list(camera.frames(threading.Event()))
    camera.close()


def test_where_nobody_listens_the_camera_is_unavailable_and_the_password_unsaid():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CameraUnavailable, match="refused") as caught:
        StreamCamera(f"rtsp://admin:secret@127.0.0.1:{port}/live", size=(80, 80), fps=5)
    assert "secret" not in str(caught.value)


def test_an_address_that_answers_with_something_else_is_unavailable(switched_on):
    def serve_a_page(client: socket.socket, off: threading.Event) -> None:
        client.recv(4096)
        client.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<h1>hello</h1>"
        )

    peer = switched_on(serve_a_page)
    with pytest.raises(CameraUnavailable, match="check that the camera"):
        camera_at("http", peer.port)


def wait_until(claim: Callable[[], bool], within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end_s, "it did not come true in time"
        threading.Event().wait(0.01)
