"""A Duet server for the tests: its own process, free ports on loopback, data in a directory of its own.

The binary comes from DUET_BINARY. The process is stopped by its id when the tests are over, whatever happened.
"""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

READY_S = 30
STOP_S = 20


class Server:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="duet-interop-")
        root = Path(self.folder.name)
        self.data, self.log = root / "data", root / "log"
        command = [os.environ.get("DUET_BINARY", "target/debug/duet"), "serve", "--dev", "--json"]
        for flag in ("--listen", "--admin-listen", "--dev-listen"):
            command += [flag, "127.0.0.1:0"]
        command += ["--data-dir", str(self.data), "--ready-file", str(root / "ready")]
        # DUET_… in the environment is configuration of the server, which refuses names that it does not know.
        env = {name: value for name, value in os.environ.items() if not name.startswith("DUET_")}
        self.process = subprocess.Popen(command, cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=self.log.open("wb"))
        until = time.monotonic() + READY_S
        while not (root / "ready").exists():
            if self.process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                raise RuntimeError(f"the server did not become ready: {self.words}")
            time.sleep(0.02)
        self.ready = json.loads((root / "ready").read_text())
        host, port = self.ready["clients"][0].rsplit(":", 1)
        self.address, self.certificate = (host, int(port)), self.ready["certificate_sha256"]
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.status = self.process.returncode
        self.words = self.log.read_text(errors="replace")
        self.folder.cleanup()

    def token(self, user, role="visitor", name=None):
        """A good token of the demo tenant."""
        query = urllib.parse.urlencode({"role": role, "user": user, "name": name or user.title()})
        port = urllib.parse.urlsplit(self.ready["dev"]).port
        with urllib.request.urlopen(f"http://localhost:{port}/dev/token?{query}", timeout=READY_S) as answer:
            return json.load(answer)["token"]

    def signed(self, kid, **claims):
        """A token with these claims, signed with the demo tenant's secret."""
        head, body = ({"alg": "HS256", "typ": "JWT", "kid": kid}, claims)
        signed = b".".join(map(url64, (json.dumps(head).encode(), json.dumps(body).encode())))
        secret = (self.data / "dev-tenant.key").read_bytes()
        return (signed + b"." + url64(hmac.digest(secret, signed, hashlib.sha256))).decode()

    def metric(self, name):
        """The sum of a metric over its labels."""
        with urllib.request.urlopen(f"http://{self.ready['admin']}/metrics", timeout=READY_S) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


def key_id(token):
    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")
