#!/usr/bin/env python3
"""A stand-in for OpenAI's "create call" (POST /v1/realtime/calls, and
.../{id}/hangup at the end), as their API reference describes it, for trying
examples/openai without a key of theirs. It takes nothing that the reference does
not have, and says back what it hears instead of thinking. For the key 0 it calls
the function hangup, where the session has one.

    apt-get install python3-aiortc        # or: pip install aiortc
    python3 examples/openai/fake.py --key test
"""
import argparse
import asyncio
import email.parser
import email.policy
import json
import re
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aioice.ice
from aiortc import RTCPeerConnection, RTCSessionDescription

MAX_BODY = 64 * 1024
PATH = "/v1/realtime/calls"

# aioice leaves loopback out of its candidates. Where Patchbay and this server
# share one machine, loopback may be all there is.
_addresses = aioice.ice.get_host_addresses
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: (
    _addresses(use_ipv4, use_ipv6) + (["127.0.0.1"] if use_ipv4 else []))

loop = asyncio.new_event_loop()
calls = {}


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def form(content_type, body):
    """Reads multipart/form-data into a dict of its parts."""
    head = ("Content-Type: %s\r\n\r\n" % content_type).encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    if message.get_content_type() != "multipart/form-data" or not message.is_multipart():
        raise Refused(400, "want multipart/form-data")
    parts = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if name not in ("sdp", "session") or name in parts:
            raise Refused(400, "unknown or repeated part %r" % name)
        parts[name] = part.get_payload(decode=True).decode()
    return parts


async def create(parts):
    session = json.loads(parts.get("session", "{}"))
    if session.get("type") != "realtime" or not session.get("model"):
        raise Refused(400, "session: want type realtime and a model")
    if not parts.get("sdp", "").startswith("v=0"):
        raise Refused(400, "sdp: want an offer")
    tools = [tool.get("name") for tool in session.get("tools", [])]
    call, pc = "rtc_" + secrets.token_hex(8), RTCPeerConnection()
    calls[call] = pc

    @pc.on("track")
    def on_track(track):
        if track.kind == "audio":
            pc.addTrack(track)

    @pc.on("datachannel")
    def on_datachannel(channel):
        print(call, "data channel", channel.label, flush=True)

        @channel.on("message")
        def on_message(message):
            print(call, message, flush=True)
            if "DTMF: 0" in message and "hangup" in tools:
                channel.send(json.dumps({"type": "response.function_call_arguments.done", "name": "hangup",
                                         "call_id": "call_" + secrets.token_hex(8), "arguments": "{}"}))

    await pc.setRemoteDescription(RTCSessionDescription(sdp=parts["sdp"], type="offer"))
    await pc.setLocalDescription(await pc.createAnswer())
    print(call, "created", flush=True)
    return call, pc.localDescription.sdp


async def hang_up(call):
    pc = calls.pop(call, None)
    if pc is None:
        raise Refused(404, "no such call")
    await pc.close()
    print(call, "hung up", flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    key = ""

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BODY))
        try:
            if self.headers.get("Authorization") != "Bearer " + self.key:
                raise Refused(401, "wrong key")
            self.operation(body)
        except Refused as e:
            self.reply(e.status, json.dumps({"error": {"message": str(e)}}), "application/json")

    def operation(self, body):
        ending = re.fullmatch(PATH + "/(rtc_[0-9a-f]+)/hangup", self.path)
        if ending:
            self.wait(hang_up(ending.group(1)))
            return self.reply(200, "", "application/json")
        if self.path != PATH:
            raise Refused(404, "no such path")
        if self.headers.get("Accept") != "application/sdp":
            raise Refused(406, "want Accept: application/sdp")
        call, sdp = self.wait(create(form(self.headers.get("Content-Type", ""), body)))
        self.reply(201, sdp, "application/sdp", PATH + "/" + call)

    def wait(self, work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    def reply(self, status, text, kind, location=""):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8089)
    parser.add_argument("--key", default="test")
    args = parser.parse_args()
    Handler.key = args.key
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = ThreadingHTTPServer((args.host, args.port), Handler)
    print("listening on http://%s:%d%s" % (*server.server_address, PATH), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
