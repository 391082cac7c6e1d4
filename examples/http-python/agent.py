#!/usr/bin/env python3
"""An HTTP agent in one file: answers Patchbay's offers with aiortc, says back
what it hears (or a tone, with --tone), prints the call's events, and hangs up
when the caller presses #.

    apt-get install python3-aiortc        # or: pip install aiortc
    python3 examples/http-python/agent.py --port 7860

docs/agents.md has the messages.
"""
import argparse
import array
import asyncio
import fractions
import json
import math
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aioice.ice
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame

MAX_CALLS = 20
MAX_BODY = 64 * 1024

# aioice leaves loopback out of its candidates. Where Patchbay and this agent
# share one machine, loopback may be all there is.
_addresses = aioice.ice.get_host_addresses
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: (
    _addresses(use_ipv4, use_ipv6) + (["127.0.0.1"] if use_ipv4 else []))

RATE = 8000  # samples a second
FRAME = 160  # samples in 20 ms

loop = asyncio.new_event_loop()
calls = set()
frequency = 0  # of --tone, Hz


class Tone(MediaStreamTrack):
    """What a real agent would say: 20 ms at a time, when they are due."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.begin, self.n = None, 0

    async def recv(self):
        self.begin = self.begin or time.monotonic()
        await asyncio.sleep(self.begin + self.n / RATE - time.monotonic())
        samples = array.array("h", (
            int(8000 * math.sin(2 * math.pi * frequency * i / RATE)) for i in range(self.n, self.n + FRAME)))
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.n, fractions.Fraction(1, RATE)
        self.n += FRAME
        return frame


async def answer(question):
    """Makes a peer for one call and returns its answer."""
    call = question.get("call", {})
    pc = RTCPeerConnection()
    calls.add(pc)

    async def end():
        calls.discard(pc)
        await pc.close()

    @pc.on("track")
    def on_track(track):
        if track.kind == "audio":
            pc.addTrack(Tone() if frequency else track)  # here a real agent listens, thinks and speaks

    @pc.on("datachannel")
    def on_datachannel(channel):
        @channel.on("message")
        def on_message(message):
            print(channel.label, message, flush=True)
            event = json.loads(message)
            if event.get("type") == "dtmf" and event.get("digit") == "#":
                channel.send(json.dumps({"id": "1", "type": "hangup"}))
            if event.get("type") == "call.ended":
                asyncio.ensure_future(end())

    @pc.on("connectionstatechange")
    async def on_state():
        print("call", call.get("call_id"), pc.connectionState, flush=True)
        if pc.connectionState in ("failed", "closed"):
            await end()

    try:
        await pc.setRemoteDescription(RTCSessionDescription(sdp=question["sdp"], type=question["type"]))
        await pc.setLocalDescription(await pc.createAnswer())
    except Exception:
        await end()
        raise
    return {"sdp": pc.localDescription.sdp, "type": "answer"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    secret = ""

    def do_POST(self):
        size = int(self.headers.get("Content-Length") or 0)
        if size > MAX_BODY:
            return self.reply(413, {"error": {"code": 413, "message": "too large"}})
        body = self.rfile.read(size)
        if self.secret and self.headers.get("Authorization") != "Bearer " + self.secret:
            return self.reply(401, {"error": {"code": 401, "message": "wrong secret"}})
        if len(calls) >= MAX_CALLS:
            return self.reply(503, {"error": {"code": 503, "message": "busy"}})
        try:
            done = asyncio.run_coroutine_threadsafe(answer(json.loads(body)), loop)
            self.reply(200, done.result(10))
        except Exception as e:
            self.reply(488, {"error": {"code": 488, "message": str(e)}})

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--tone", type=int, default=0, metavar="HZ", help="say a tone instead of what is heard")
    args = parser.parse_args()
    global frequency
    frequency = args.tone
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    Handler.secret = os.environ.get("AGENT_SECRET", "")  # the agent's auth_secret, if it has one
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = ThreadingHTTPServer((args.host, args.port), Handler)
    print("listening on http://%s:%d/offer" % server.server_address, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
