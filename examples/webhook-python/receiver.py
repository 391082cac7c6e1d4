"""Takes Patchbay's events, and prints each one once.

    PATCHBAY_WEBHOOK_SECRET=whsec_... python3 examples/webhook-python/receiver.py --port 8000
"""
import argparse, base64, hashlib, hmac, http.server, json, os, threading, time

SECRET = os.environ["PATCHBAY_WEBHOOK_SECRET"]
MOST_AGE = 300  # seconds, for clocks that differ; a repetition is signed anew
seen = set()    # ids of deliveries: keep them where a restart finds them
turn = threading.Lock()  # deliveries come side by side, repetitions among them


def signed(headers, body):
    """Says whether the request is Patchbay's (standardwebhooks.com)."""
    ident, sent = headers.get("Webhook-Id", ""), headers.get("Webhook-Timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > MOST_AGE:
        return False
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.new(key, f"{ident}.{sent}.".encode() + body, hashlib.sha256)
    want = "v1," + base64.b64encode(mac.digest()).decode()
    # While a secret is changed there is one signature for each of the two.
    return any(hmac.compare_digest(want, got) for got in headers.get("Webhook-Signature", "").split())


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        good = signed(self.headers, body)
        ident = self.headers.get("Webhook-Id")
        with turn:
            if good and ident not in seen:
                event = json.loads(body)
                print(event["type"], event["id"], flush=True)
                seen.add(ident)
        self.send_response(204 if good else 401)  # any 2xx is "taken"; all else is repeated
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    args = argparse.ArgumentParser()
    args.add_argument("--port", type=int, default=8000)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", args.parse_args().port), Receiver)
    print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
