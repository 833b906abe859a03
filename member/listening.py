"""Serving HTTP from a thread of this process, at a port that is known before the first request."""

from __future__ import annotations

import socket
import threading
import time
from typing import Final

import uvicorn
from starlette.types import ASGIApp

LOOPBACK: Final = "127.0.0.1"
START_SECONDS: Final = 5
STOP_SECONDS: Final = 1


class Address:
    """A port of this machine for one program, kept from others for as long as this lives, also while nobody listens."""

    def __init__(self) -> None:
        self._held = socket.socket()
        # Bound, and never listening: whoever sets this option too may listen there, nobody is given the port by chance.
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind((LOOPBACK, 0))
        self.port: int = self._held.getsockname()[1]

    @property
    def listen(self) -> str:
        """As configurations name it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """Where others reach it."""
        return f"http://{LOOPBACK}:{self.port}"

    def close(self) -> None:
        """Gives the port back."""
        self._held.close()


class Listener:
    """A service at a host and port; port 0 takes a free one, which `port` then names."""

    def __init__(self, host: str, port: int) -> None:
        """Takes the port, so that the address is known before there is anything to serve. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(128)
        except BaseException:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def serve(self, app: ASGIApp) -> None:
        """Answers requests from now on. Raises RuntimeError where the server does not come up."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_SECONDS,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the HTTP service does not come up")
            time.sleep(0.005)

    def stop(self) -> None:
        """Takes no more requests; what is being answered gets a second. Does not wait."""
        if self._server is not None:
            self._server.should_exit = True

    def close(self) -> None:
        """Ends the service. May be called twice."""
        self.stop()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS + 0.5)
        self._socket.close()
