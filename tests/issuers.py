"""An identity provider for tests: it signs tokens, and serves its public keys."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

URL = "https://id.example"


class Issuer:
    """Signs by one key at a time. `rotate` makes another, whose name is another."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.asked = 0
        self.away = False
        self._count = 0
        self._public: dict[str, dict[str, Any]] = {}
        self.rotate()

    def rotate(self, *, forget: bool = False) -> None:
        self._count += 1
        self.name = f"key-{self._count}"
        if self.algorithm.startswith("ES"):
            self.key: Any = ec.generate_private_key(ec.SECP256R1())
            public = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        elif self.algorithm == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
            public = OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        else:
            self.key = rsa.generate_private_key(65537, 2048)
            public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        if forget:
            self._public.clear()
        self._public[self.name] = {**public, "kid": self.name, "use": "sig"}
        self._public[self.name].pop("key_ops", None)

    def jwks(self) -> bytes:
        return json.dumps({"keys": list(self._public.values())}).encode()

    def write(self, file: Path) -> None:
        file.write_bytes(self.jwks())

    def token(self, *, headers: dict[str, Any] | None = None, without: str = "", **claims: Any) -> str:
        now = time.time()
        given = {
            "iss": URL,
            "aud": "mill",
            "sub": "ada",
            "iat": now,
            "exp": now + 300,
            "scope": "read submit",
            **claims,
        }
        given.pop(without, None)
        return jwt.encode(given, self.key, self.algorithm, headers={"kid": self.name, **(headers or {})})

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve the keys; yield their URL."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                if self.path == "/elsewhere":
                    self.send_response(302)
                    self.send_header("Location", "/jwks")
                    self.end_headers()
                    return
                self.send_response(503 if issuer.away else 200)
                self.end_headers()
                self.wfile.write(b"{}" if issuer.away else issuer.jwks())

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/jwks"
        finally:
            server.shutdown()
            server.server_close()
            thread.join(10)
