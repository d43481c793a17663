"""What tests of the ACME client ask of a host: its texts, its records, what it serves, and its account."""

import json
import os
import re

from certificates import openssl, read, serial_of
from host import wait_for

NO_PHP = "php = { enabled = false; };"


def site(*names, tls="", more=""):
    """One entry of `sites`."""
    listed = ", ".join(f'"{name}"' for name in names)
    return f"{{ names = [{listed}]; tls = {{ {tls} }}; {more} }}"


def sites(*entries, more=""):
    return f"sites = ( {', '.join(entries)} ); {NO_PHP} {more}"


def one(*names, tls="", more=""):
    """The file of a webspace with one site."""
    return sites(site(*names, tls=tls, more=more))


class Place:
    """A certificate's directory below state_dir/certs."""

    def __init__(self, host, webspace, name=None):
        self.path = f"{host.state_dir}/certs/{webspace}/{name or host.host_name(webspace)}"

    def record(self):
        try:
            return json.loads(read(f"{self.path}/state.json"))
        except (FileNotFoundError, ValueError):
            return {}

    def rewrite(self, **fields):
        """While no agent runs. None: the field goes."""
        after = {**self.record(), **fields}
        with open(f"{self.path}/state.json", "w", encoding="utf-8") as file:
            json.dump({key: value for key, value in after.items() if value is not None}, file)

    @property
    def generation(self):
        """0: none."""
        try:
            return int(os.readlink(f"{self.path}/current"))
        except FileNotFoundError:
            return 0

    def chain(self, generation=None):
        return read(f"{self.path}/{generation or self.generation}/chain.pem")

    def key(self, generation=None):
        return read(f"{self.path}/{generation or self.generation}/key.pem")

    def key_kind(self):
        """ "ecdsa" or "rsa 2048"."""
        text = openssl("pkey", "-noout", "-text", text=self.key())
        bits = re.search(r"Private-Key: \((\d+) bit", text).group(1)
        return f"rsa {bits}" if "modulus" in text else "ecdsa"

    @property
    def issued(self):
        """By the CA whose record lies beside it."""
        return bool(self.record().get("serial")) and self.record()["serial"] == serial_of(self.chain())


def change(host, name, text):
    """Another file of a webspace; it is in force, and the webspace is ready."""
    try:
        before = read(f"{host.drops}/{name}.conf")
    except FileNotFoundError:
        before = None
    known = (host.status(name) or {}).get("fingerprint")
    host.drop(name, text)
    if before not in (None, text):
        wait_for("the file counts", lambda: host.status(name)["fingerprint"] != known, 10, 0.05)
    host.wait_ready(name)


def issuer_of(pem):
    return openssl("x509", "-noout", "-issuer", text=pem).strip().removeprefix("issuer=")


def is_internal(host, pem):
    return issuer_of(pem) == openssl("x509", "-noout", "-subject", text=read(host.ca_file)).strip().removeprefix("subject=")


def served_quietly(host, name):
    """None where there is no TLS."""
    try:
        return host.served(name)
    except OSError:
        return None


def wait_public(host, name, seconds=10):
    """PEM of what is served for a name, once it is of a CA of others."""

    def look():
        pem = served_quietly(host, name)
        return None if not pem or is_internal(host, pem) else pem

    return wait_for(f"a CA's certificate for {name}", look, seconds, 0.1)


def wait_served(host, name, other_than, seconds=10):
    """PEM of what is served for a name, once it is another than before."""

    def look():
        pem = served_quietly(host, name)
        return pem if pem != other_than else None

    pem = wait_for(f"another certificate for {name}", look, seconds, 0.05)
    assert not is_internal(host, pem), "nothing worse in between"
    return pem


def wait_reason(host, webspace, reason, text="", seconds=10):
    """The message of the Certificate condition once it has this reason, and says this."""

    def look():
        condition = host.condition(webspace, "Certificate")
        is_it = condition and condition["reason"] == reason and text in condition["message"]
        return condition["message"] if is_it else None

    try:
        return wait_for(f"{webspace}: Certificate {reason} {text}", look, seconds, 0.05)
    except AssertionError as late:
        raise AssertionError(f"{late}: {host.condition(webspace, 'Certificate')}\n{host.journal()[-3000:]}") from None


def certs(host, verb, *words):
    """A verb's answer of the running agent."""
    out = host.command("certs", verb, *words, *(["--no-wait"] if verb == "renew" else []))
    assert out.returncode == 0, out.stderr
    return out.stdout


def account(host, ca, file="account.json"):
    """A file of our account at a CA."""
    name = re.sub(r"[^-.A-Za-z0-9]", "_", ca.directory_url.split("://")[1])
    return f"{host.state_dir}/acme/{name}/{file}"


def account_public_key(host, ca, file="account.key"):
    return openssl("pkey", "-pubout", text=read(account(host, ca, file)))


def use(host, acme):
    """Another text of the acme group; it counts from the next start."""
    host.acme = acme
    host.configure()


