"""A stand-in for a member's program: answers `GET /v1/status` from a file that a test writes, and does nothing else.

Usage: stand_in.py PORT STATUS_FILE. With the word `die` in place of the file it ends at once and says why.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def main() -> int:
    port, file = int(sys.argv[1]), sys.argv[2]
    if file == "die":
        print("the stand-in was told to die", file=sys.stderr)
        return 7

    class Status(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = Path(file).read_bytes()
            self.send_response(200 if self.path == "/v1/status" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Status).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
