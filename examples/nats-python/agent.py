#!/usr/bin/env python3
"""A worker on NATS in one file: answers Patchbay's offers with aiortc, says back
what it hears, prints the call's events, and hangs up when the caller presses #.

    apt-get install python3-aiortc        # or: pip install aiortc
    python3 examples/nats-python/agent.py --agent <agent id> --nats 127.0.0.1:4222

Start it several times: the workers share the calls. Debian has no NATS client
for Python, so the few lines of the protocol that a worker needs are here; with
pip, nats-py does the same. docs/agents.md has the messages.
"""
import argparse
import asyncio
import json
import secrets

import aioice.ice
from aiortc import RTCPeerConnection, RTCSessionDescription

MAX_CALLS = 20

# aioice leaves loopback out of its candidates. Where Patchbay and this agent
# share one machine, loopback may be all there is.
_addresses = aioice.ice.get_host_addresses
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: (
    _addresses(use_ipv4, use_ipv6) + (["127.0.0.1"] if use_ipv4 else []))


class Nats:
    """As much of a NATS client as a worker needs: no TLS, and of credentials user and password."""

    async def connect(self, address):
        """address is host:port, or user:password@host:port."""
        login, _, address = address.rpartition("@")
        user, _, password = login.partition(":")
        host, _, port = address.rpartition(":")
        self.reader, self.writer = await asyncio.open_connection(host, int(port))
        await self.reader.readline()  # INFO
        self.handlers = {}
        hello = {"verbose": False, "pedantic": False, "name": "nats-python example"}
        if user:
            hello.update(user=user, **{"pass": password})
        self.send("CONNECT " + json.dumps(hello))

    def send(self, line, payload=None):
        self.writer.write(line.encode() + b"\r\n" + (b"" if payload is None else payload + b"\r\n"))

    def publish(self, subject, message):
        payload = json.dumps(message).encode()
        self.send("PUB %s %d" % (subject, len(payload)), payload)

    def subscribe(self, subject, handler, queue=""):
        sid = str(len(self.handlers) + 1)
        self.handlers[sid] = handler
        self.send("SUB %s %s %s" % (subject, queue, sid))

    async def run(self):
        while line := await self.reader.readline():
            word, *rest = line.decode().split()
            if word == "PING":
                self.send("PONG")
            elif word == "-ERR":
                raise ConnectionError(line.decode().strip())
            elif word == "MSG":  # MSG subject sid [reply] size
                payload = (await self.reader.readexactly(int(rest[-1]) + 2))[:-2]
                reply = rest[2] if len(rest) == 4 else ""
                asyncio.ensure_future(self.handlers[rest[1]](payload, reply))
        raise ConnectionError("the server closed the connection")


class Worker:
    def __init__(self, nats, agent):
        self.nats, self.agent = nats, agent
        self.id = "py-" + secrets.token_hex(4)
        self.calls = {}

    async def offered(self, payload, reply):
        offer = json.loads(payload)
        if len(self.calls) >= MAX_CALLS:
            return self.nats.publish(reply, {"error": {"code": 503, "message": "busy"}})
        try:
            sdp = await self.answer(offer)
            self.nats.publish(reply, {"type": "answer", "sdp": sdp, "worker_id": self.id})
        except Exception as e:
            self.nats.publish(reply, {"error": {"code": 488, "message": str(e)}})

    async def answer(self, offer):
        """Makes a peer for one call and returns its SDP."""
        call, pc = offer["call_id"], RTCPeerConnection()
        self.calls[call] = pc

        @pc.on("track")
        def on_track(track):
            if track.kind == "audio":
                pc.addTrack(track)  # here a real agent listens, thinks and speaks

        @pc.on("datachannel")
        def on_datachannel(channel):
            @channel.on("message")
            def on_message(message):
                print(call, message, flush=True)
                event = json.loads(message)
                if event.get("type") == "dtmf" and event.get("digit") == "#":
                    channel.send(json.dumps({"id": "1", "type": "hangup"}))

        @pc.on("connectionstatechange")
        async def on_state():
            print(call, pc.connectionState, flush=True)
            if pc.connectionState in ("failed", "closed"):
                await self.end(call)

        try:
            await pc.setRemoteDescription(RTCSessionDescription(sdp=offer["sdp"], type="offer"))
            await pc.setLocalDescription(await pc.createAnswer())
        except Exception:
            await self.end(call)
            raise
        return pc.localDescription.sdp

    async def end(self, call):
        pc = self.calls.pop(call, None)
        if pc:
            await pc.close()

    async def cancelled(self, payload, reply):
        await self.end(json.loads(payload)["call_id"])

    async def beat(self):
        while True:
            n = len(self.calls)
            self.nats.publish("pb.v1.agent.%s.hb" % self.agent, {
                "v": 1, "worker_id": self.id, "load": n / MAX_CALLS, "calls": n, "max": MAX_CALLS, "state": "ready"})
            await asyncio.sleep(1)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", required=True)
    parser.add_argument("--nats", default="127.0.0.1:4222")
    args = parser.parse_args()
    nats = Nats()
    await nats.connect(args.nats)
    worker = Worker(nats, args.agent)
    nats.subscribe("pb.v1.agent.%s.offer" % args.agent, worker.offered, "workers")
    nats.subscribe("pb.v1.agent.%s.w.%s.cancel" % (args.agent, worker.id), worker.cancelled)
    print("worker %s takes calls" % worker.id, flush=True)
    await asyncio.gather(nats.run(), worker.beat())


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
