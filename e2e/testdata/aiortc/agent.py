"""An agent on aiortc for the end-to-end tests: it answers offers over HTTP
(connector http, dialect json), says a tone of its own, keeps what it hears, and
does what it is told on its data channel.

    agent.py FREQUENCY

It prints the port that it listens on, and serves

    POST /offer      {"sdp", "type": "offer", "call"} -> {"sdp", "type": "answer"}
    GET  /heard      samples heard on the last call, 16-bit little-endian
    GET  /said       messages of the data channel, a JSON list
    GET  /call       what the last offer said of its call
    POST /command    a message for the data channel
    POST /close      ends the peer connection in order
"""

import asyncio
import fractions
import json
import math
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aioice.ice

# aioice leaves loopback out, where these tests run.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription  # noqa: E402
from aiortc.mediastreams import MediaStreamError  # noqa: E402
from av import AudioFrame  # noqa: E402

RATE = 8000
FRAME = 160  # 20 ms


class Tone(MediaStreamTrack):
    """A sine, 10 dB below full scale, at the pace of a clock."""

    kind = "audio"

    def __init__(self, frequency):
        super().__init__()
        self.step = 2 * math.pi * frequency / RATE
        self.at = 0
        self.began = None

    async def recv(self):
        if self.readyState != "live":
            raise MediaStreamError
        if self.began is None:
            self.began = time.monotonic()
        await asyncio.sleep(max(0, self.began + self.at / RATE - time.monotonic()))
        samples = [int(10362 * math.sin(self.step * n)) for n in range(self.at, self.at + FRAME)]
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(struct.pack("<%dh" % FRAME, *samples))
        frame.sample_rate = RATE
        frame.pts = self.at
        frame.time_base = fractions.Fraction(1, RATE)
        self.at += FRAME
        return frame


class Agent:
    def __init__(self, frequency):
        self.frequency = frequency
        self.loop = asyncio.new_event_loop()
        self.forget()

    def forget(self):
        self.pc, self.channel, self.call = None, None, {}
        self.heard, self.said = bytearray(), []

    async def offer(self, question):
        self.forget()
        self.call = question["call"]
        self.pc = pc = RTCPeerConnection()

        @pc.on("track")
        def on_track(track):
            asyncio.ensure_future(self.listen(track))

        @pc.on("datachannel")
        def on_channel(channel):
            self.channel = channel
            channel.on("message", lambda message: self.said.append(json.loads(message)))

        await pc.setRemoteDescription(RTCSessionDescription(sdp=question["sdp"], type=question["type"]))
        pc.addTrack(Tone(self.frequency))
        await pc.setLocalDescription(await pc.createAnswer())
        return {"sdp": pc.localDescription.sdp, "type": pc.localDescription.type, "worker_id": "aiortc"}

    async def listen(self, track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert frame.sample_rate == RATE and frame.layout.name == "mono", frame
            self.heard += bytes(frame.planes[0])[: 2 * frame.samples]

    async def command(self, message):
        self.channel.send(json.dumps(message))
        return {}

    async def close(self, _):
        await self.pc.close()
        return {}


class Requests(BaseHTTPRequestHandler):
    agent = None

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
        do = {"/offer": self.agent.offer, "/command": self.agent.command, "/close": self.agent.close}[self.path]
        future = asyncio.run_coroutine_threadsafe(do(body), self.agent.loop)
        self.answer("application/json", json.dumps(future.result(10)).encode())

    def do_GET(self):
        if self.path == "/heard":
            self.answer("application/octet-stream", bytes(self.agent.heard))
        else:
            self.answer("application/json", json.dumps({"/said": self.agent.said, "/call": self.agent.call}[self.path]).encode())

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    agent = Requests.agent = Agent(float(sys.argv[1]))
    threading.Thread(target=agent.loop.run_forever, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    print(server.server_address[1], flush=True)
    server.serve_forever()
