"""What a jail may talk to: a name server and a TLS server on loopback, made for a test."""

import http.server
import os
import socket
import ssl
import struct
import subprocess
import threading


class NameServer:
    """Answers every A question with one address (and nothing else with nothing); for as long as the test runs."""

    def __init__(self, address, answer):
        self.answer = socket.inet_aton(answer)
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.socket.settimeout(0.1)
        self.ends = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while not self.ends:
            try:
                question, peer = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1 : at + 1 + question[at]].decode())
                at += 1 + question[at]
            kind = struct.unpack(">H", question[at + 1 : at + 3])[0]
            self.asked.append(".".join(labels))
            count = 1 if kind == 1 else 0
            head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, count, 0, 0)
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + self.answer if count else b""
            self.socket.sendto(head + question[12 : at + 5] + record, peer)

    def close(self):
        self.ends = True
        self.thread.join()
        self.socket.close()


class Greeter(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


def authority(directory, name):
    """A CA: the path of its certificate; the key beside it."""
    pem, key = os.path.join(directory, f"{name}.pem"), os.path.join(directory, f"{name}.key")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, "-days", "2", "-subj", f"/CN={name}")
    return pem


def openssl(*words):
    return subprocess.run(["openssl", *words], check=True, capture_output=True, text=True).stdout


def trust(pem, bundle):
    """Puts a CA into the host's store as update-ca-certificates does: bundle and hashed link."""
    with open(pem, encoding="ascii") as file:
        text = file.read()
    with open(bundle, "a", encoding="ascii") as file:
        file.write(text)
    digest = openssl("x509", "-noout", "-hash", "-in", pem).strip()
    with open(os.path.join(os.path.dirname(bundle), f"{digest}.0"), "w", encoding="ascii") as file:
        file.write(text)


class TlsServer:
    """Says hello over TLS as `name`, with a certificate of this CA, on a port of its own."""

    def __init__(self, directory, ca, name):
        key, request, pem = (os.path.join(directory, f"{name}.{end}") for end in ("key", "csr", "crt"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}",
                "-addext", f"subjectAltName=DNS:{name}")  # fmt: skip
        openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca.replace(".pem", ".key"), "-CAcreateserial",
                "-copy_extensions", "copyall", "-days", "2", "-out", pem)  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeter)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"https://{name}:{self.port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
