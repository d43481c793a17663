"""What an ACME client talks to in tests: Pebble and Caddy as CAs of foreign make, and a slow line before either."""

import asyncio
import http.client
import json
import os
import re
import ssl
import subprocess
import threading

from certificates import https_authority, peer_directory, read, write
from host import wait_for
from resolver import background, in_background

SERVER_NAMES = ["localhost", "ca.test", "127.0.0.1", "::1"]


class Peer:
    """A daemon under a directory of its own, that answers at self.directory_url over HTTPS, trusted by self.ca_file."""

    def __init__(self, name, port):
        self.directory, self.port, self.process = peer_directory(f"{name}{port}"), port, None
        self.log = f"{self.directory}/log"

    @property
    def origin(self):
        return f"https://localhost:{self.port}"

    def settings(self, more=""):
        """The acme group of a host that has its certificates from here."""
        return (
            f'issuer = "acme"; directory = "{self.directory_url}"; ca_file = "{self.ca_file}"; agree_tos = true; {more}'
        )

    def launch(self, argv, environment):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                argv, env={"PATH": os.environ["PATH"], **environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for(f"{argv[0]} answers", lambda: self.process.poll() is not None or self.is_up(), 20, 0.02)
        assert self.process.poll() is None, read(self.log)

    def is_up(self):
        try:
            return fetch(self.directory_url, self.ca_file)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self):
        """Pebble has forgotten everything then, Caddy nothing."""
        self.stop()
        self.start()


def fetch(url, ca_file, timeout=5):
    """(status, body) of a GET."""
    _, _, authority, path = url.split("/", 3)
    context = ssl.create_default_context(cafile=ca_file)
    connection = http.client.HTTPSConnection(authority, context=context, timeout=timeout)
    try:
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


class Pebble(Peer):
    """Let's Encrypt's test CA. It validates at ports 80 and 443 of where 127.0.0.1:53 says the name is.

    nonce_reject, authz_reuse: percent. eab: {key id: base64url key}, then an account needs one.

    Two requests at once may deadlock it: a new order looks through all authorizations with its store locked and waits
    for one that another request has, which waits for the store. Who passes requests on lets each have its `turn`; by
    itself it is seldom, and the more so the fewer authorizations there are: see renew_if_worn.
    """

    numbers = iter(range(14000, 15000, 2))
    WORN = 300

    def __init__(self, nosleep=True, sleep_time=None, always_valid=False, nonce_reject=0, authz_reuse=0,
                 alternate_roots=0, chain_length=1, validity_seconds=90 * 86400, eab=None, http_port=80, tls_port=443):  # fmt: skip
        super().__init__("pebble", next(Pebble.numbers))
        self.ca_file = https_authority().ca_file
        self.directory_url = f"{self.origin}/dir"
        environment = {"VA_NOSLEEP": int(nosleep and not sleep_time), "VA_SLEEPTIME": sleep_time,
                       "VA_ALWAYS_VALID": int(always_valid), "WFE_NONCEREJECT": nonce_reject,
                       "AUTHZREUSE": authz_reuse, "ALTERNATE_ROOTS": alternate_roots,
                       "CHAIN_LENGTH": chain_length}  # fmt: skip
        self.turn = threading.Lock()
        self.environment = {f"PEBBLE_{key}": str(value) for key, value in environment.items() if value is not None}
        self.write_config(validity_seconds, eab, http_port, tls_port)
        self.start()

    def write_config(self, validity_seconds, eab, http_port, tls_port):
        pem, key = https_authority().server(SERVER_NAMES, f"pebble{self.port}")
        config = {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.port + 1}",
            "certificate": pem, "privateKey": key, "httpPort": http_port, "tlsPort": tls_port,
            "ocspResponderURL": "", "externalAccountBindingRequired": bool(eab), "externalAccountMACKeys": eab or {},
            "certificateValidityPeriod": validity_seconds,
        }  # fmt: skip
        write(f"{self.directory}/config.json", json.dumps({"pebble": config}))

    def start(self):
        write(self.log, "")
        self.launch(["pebble", "-config", f"{self.directory}/config.json", "-dnsserver", "127.0.0.1:53"], self.environment)
        write(self.root_file, self.root())

    def manage(self, path):
        status, body = fetch(f"https://localhost:{self.port + 1}{path}", self.ca_file)
        assert status == 200, f"{path}: {status} {body}"
        return body

    def root(self, number=0):
        """Roots are new with each start; number > 0: the alternate ones."""
        return self.manage(f"/roots/{number}")

    def intermediate(self, number=0):
        return self.manage(f"/intermediates/{number}")

    @property
    def root_file(self):
        """What certificates of this Pebble are verified against."""
        return f"{self.directory}/root.pem"

    def status(self, serial):
        """Of a certificate, by hex serial: "Valid" or "Revoked"."""
        return json.loads(self.manage(f"/cert-status-by-serial/{serial}"))["Status"]

    def logged(self, pattern):
        return len(re.findall(pattern, read(self.log)))

    def issued(self):
        """Certificates since the last start."""
        return self.logged("Issued certificate serial")

    def renew_if_worn(self):
        if not self.process or self.process.poll() is not None or self.issued() >= Pebble.WORN:
            self.restart()


class Caddy(Peer):
    """A CA of other parents (smallstep's), which answers finalize with the certificate. It validates at port 80."""

    numbers = iter(range(15000, 15100))
    CONFIG = """{{
	admin off
	skip_install_trust
	auto_https disable_redirects
	http_port {http_port}
	log {{
		level INFO
	}}
}}
https://localhost:{port}, https://ca.test:{port} {{
	bind 127.0.0.1
	tls internal
	acme_server
}}
"""

    def __init__(self):
        super().__init__("caddy", next(Caddy.numbers))
        self.directory_url = f"{self.origin}/acme/local/directory"
        self.config = write(f"{self.directory}/Caddyfile", Caddy.CONFIG.format(port=self.port, http_port=self.port + 100))
        self.start()

    @property
    def ca_file(self):
        """Of its own HTTPS, and of what it issues."""
        return f"{self.directory}/caddy/pki/authorities/local/root.crt"

    root_file = ca_file

    def is_up(self):
        return os.path.exists(self.ca_file) and super().is_up()

    def start(self):
        places = {"HOME": self.directory, "XDG_DATA_HOME": self.directory, "XDG_CONFIG_HOME": self.directory}
        self.launch(["caddy", "run", "--config", self.config, "--adapter", "caddyfile"], places)
        for directory, _, files in os.walk(f"{self.directory}/caddy"):
            os.chmod(directory, 0o755)
            for name in files:
                if name.endswith(".crt"):
                    os.chmod(os.path.join(directory, name), 0o644)


class Delay:
    """A line before a port on which each byte takes half of `milliseconds` either way, and a connect all of it.

    What is said in the meantime is not slowed further: throughput stays.
    """

    numbers = iter(range(16000, 16100))

    def __init__(self, target_port, milliseconds=50):
        self.port, self.target, self.one_way = next(Delay.numbers), target_port, milliseconds / 2000
        self.connections = 0
        self.server = in_background(asyncio.start_server(self.serve, "127.0.0.1", self.port))

    def stop(self):
        background().call_soon_threadsafe(self.server.close)

    def url(self, url):
        """The same URL by way of this line; Pebble and Caddy then name it in all others."""
        return url.replace(f":{self.target}/", f":{self.port}/")

    async def serve(self, reader, writer):
        self.connections += 1
        await asyncio.sleep(2 * self.one_way)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self.carry(reader, there_writer), self.carry(there_reader, writer))

    async def carry(self, reader, writer):
        line = asyncio.Queue()
        deliver = asyncio.create_task(self.deliver(line, writer))
        loop = asyncio.get_running_loop()
        data = b"?"
        while data:
            try:
                data = await reader.read(65536)
            except ConnectionError:
                data = b""
            line.put_nowait((loop.time() + self.one_way, data))
        await deliver

    async def deliver(self, line, writer):
        loop = asyncio.get_running_loop()
        while True:
            due, data = await line.get()
            await asyncio.sleep(max(0, due - loop.time()))
            try:
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()
            except ConnectionError:
                return
