"""A small web service that runs its own newest source.

GET /         the message
GET /healthz  ok
POST /echo    the request's body
"""

import os
import signal
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MESSAGE = "Hello from the api sample"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/":
            self.answer(200, MESSAGE.encode() + b"\n")
        elif self.path == "/healthz":
            self.answer(200, b"ok\n")
        else:
            self.answer(404, b"not found\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/echo":
            self.answer(200, body)
        else:
            self.answer(404, b"not found\n")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        if self.path != "/healthz":
            print(self.command, self.path, *args[1:2], flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def version(path):
    """What changes when the file does; None while it is replaced."""
    try:
        s = os.stat(path)
    except FileNotFoundError:
        return None
    return s.st_ino, s.st_mtime_ns, s.st_size


def follow(server, path):
    """Gives the server the Handler of each new version of the file, and of the
    first one too: it may have changed since Python read it. One that does not
    compile leaves the last that did."""
    seen = None
    while True:
        time.sleep(0.005)
        now = version(path)
        if now is None or now == seen:
            continue
        seen = now
        module = {"__name__": "reloaded", "__file__": path}
        try:
            with open(path, encoding="utf-8") as source:
                exec(compile(source.read(), path, "exec"), module)
            server.RequestHandlerClass = module["Handler"]
            print("reloaded", flush=True)
        except Exception:
            traceback.print_exc()


def main():
    # PID 1 of a container has no default handlers.
    for name in signal.SIGTERM, signal.SIGINT:
        signal.signal(name, lambda *_: sys.exit(0))
    port = int(os.environ.get("PORT", "8080"))
    path = os.path.abspath(__file__)
    server = Server(("", port), Handler)
    threading.Thread(target=follow, args=(server, path), daemon=True).start()
    print(f"serving on port {port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
