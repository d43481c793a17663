"""Certificates that an admin brings: each usual mistake is named with what puts it right, and the site is served meanwhile."""

import os
import re
import shutil

import pytest

from certificates import Authority, openssl, read, split, write
from host import Host, Timeout, wait_for

PLACE = "/mnt/own"
NO_PHP = "php = { enabled = false; };"


@pytest.fixture(autouse=True)
def accounts():
    """Of the module: the webspaces of its hosts outlive a test."""


class Chain:
    """A root, a CA that it certified, and what that issues: leaf + intermediate, without the root."""

    def __init__(self):
        self.root, self.middle = Authority("own root"), Authority("own middle")
        request = openssl("req", "-new", "-key", self.middle.path("ca.key"), "-subj", "/CN=own middle")
        write(self.root.path("request"), request)
        write(self.root.path("ext"), "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\nsubjectKeyIdentifier=hash\n")
        self.intermediate = openssl("x509", "-req", "-in", self.root.path("request"), "-CA", self.root.ca_file, "-CAkey",
                                    self.root.path("ca.key"), "-CAcreateserial", "-days", "900", "-extfile", self.root.path("ext"))  # fmt: skip
        write(self.middle.ca_file, self.intermediate)

    def leaf(self, name, **options):
        """(certificate alone, key) for NAME.web.test, as PEM."""
        request = self.middle.request([f"{name}.web.test"], name)
        return self.middle.sign(request, **options), read(self.middle.path(f"{name}.key"))

    def trust(self):
        """The machine knows the root, as after update-ca-certificates."""
        name = openssl("x509", "-noout", "-subject_hash", text=self.root.pem).strip()
        write(f"/etc/ssl/certs/{name}.0", self.root.pem)


def der(*words, text):
    """What openssl writes as DER, by way of a file."""
    path = f"{PLACE}/der"
    openssl(*words, "-outform", "DER", "-out", path, text=text)
    with open(path, "rb") as file:
        return file.read()


def archive(leaf, key):
    write(f"{PLACE}/both", leaf + key)
    openssl("pkcs12", "-export", "-in", f"{PLACE}/both", "-out", f"{PLACE}/archive", "-passout", "pass:x")
    with open(f"{PLACE}/archive", "rb") as file:
        return file.read()


def self_signed(name, days=90, more=()):
    """(certificate, key)"""
    pem = openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days), "-keyout", f"{PLACE}/self.key",
                  "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}.web.test", *more)  # fmt: skip
    return pem, read(f"{PLACE}/self.key")


def encrypted(key, traditional=False):
    words = ["-traditional"] if traditional else []
    return openssl("pkey", "-aes128", "-passout", "pass:secret", *words, text=key)


def rsa(chain, name, bits=2048, digest="-sha256"):
    """(leaf, key) of an RSA key, signed with that digest."""
    key = openssl("genrsa", str(bits))
    write(f"{PLACE}/rsa.key", key)
    write(f"{PLACE}/rsa.req", openssl("req", "-new", "-key", f"{PLACE}/rsa.key", "-subj", "/CN=x"))
    write(f"{PLACE}/rsa.ext", f"subjectAltName=DNS:{name}.web.test\n")
    leaf = openssl("x509", "-req", "-in", f"{PLACE}/rsa.req", "-CA", chain.middle.ca_file, "-CAkey", chain.middle.path("ca.key"),
                   "-CAcreateserial", "-days", "90", digest, "-extfile", f"{PLACE}/rsa.ext")  # fmt: skip
    return leaf, key


def made(case, chain, name):
    """(certificate file, key file) of a case."""
    leaf, key = chain.leaf(name)
    full, other = leaf + chain.intermediate, chain.leaf("other")[1]
    return {
        "fine": lambda: (full, key),
        "with its root": lambda: (full + chain.root.pem, key),
        "with the key in it, first": lambda: (key + full, key + full),
        "with text between": lambda: ("subject=x\n" + full.replace("-----\n-----", "-----\nissuer=y\n-----"), key),
        "with lines of another system": lambda: (full.replace("\n", "\r\n"), key.replace("\n", "\r\n")),
        "with parameters before the key": lambda: (full, openssl("ecparam", "-name", "prime256v1") + openssl("ec", text=key)),
        "signed by itself": lambda: self_signed(name),
        "the key is encrypted": lambda: (full, encrypted(key)),
        "the key is encrypted as of old": lambda: (full, encrypted(key, traditional=True)),
        "the chain is reversed": lambda: ("".join(reversed(split(full))), key),
        "the key is another's": lambda: (full, other),
        "the certificate is DER": lambda: (der("x509", text=leaf), key),
        "the key is DER": lambda: (full, der("pkey", text=key)),
        "the files are swapped": lambda: (key, full),
        "the certificate is an archive": lambda: (archive(leaf, key), key),
        "the certificate is a request": lambda: (chain.middle.request([f"{name}.web.test"], "request"), key),
        "the certificate is empty": lambda: ("", key),
        "the key is empty": lambda: (full, ""),
        "the certificate is something else": lambda: ("hello\n", key),
        "the key is something else": lambda: (full, "hello\n"),
        "the key is a public one": lambda: (full, openssl("pkey", "-pubout", text=key)),
        "the certificate is cut": lambda: (leaf[: len(leaf) // 2] + "\n-----END CERTIFICATE-----\n", key),
        "the intermediate is cut": lambda: (leaf + chain.intermediate[:200] + "\n-----END CERTIFICATE-----\n", key),
        "the certificate has expired": lambda: (chain.leaf(name, start=-20, end=-10)[0] + chain.intermediate, read(chain.middle.path(f"{name}.key"))),
        "the certificate is of tomorrow": lambda: (chain.leaf(name, start=10)[0] + chain.intermediate, read(chain.middle.path(f"{name}.key"))),
        "the certificate is for other names": lambda: (chain.leaf("elsewhere")[0] + chain.intermediate, read(chain.middle.path("elsewhere.key"))),
        "the key is short": lambda: rsa(chain, name, bits=1024),
        "the digest is old": lambda: rsa(chain, name, digest="-sha1"),
        "the intermediate is missing": lambda: (leaf, key),
    }[case]()  # fmt: skip


GOOD = ["fine", "with its root", "with the key in it, first", "with text between", "with lines of another system",
        "with parameters before the key", "signed by itself"]  # fmt: skip

# CERT and KEY are the paths; the host serves one of the internal CA meanwhile.
BAD = {
    "the key is encrypted": "KEY is encrypted; remove the passphrase: openssl pkey -in KEY -out FILE",
    "the key is encrypted as of old": "KEY is encrypted; remove the passphrase: openssl pkey -in KEY -out FILE",
    "the chain is reversed": "CERT is in the wrong order: KEY is the key of its certificate 2; that must come first, then the one that signed it, and so on",
    "the key is another's": "KEY is not the key of CERT",
    "the certificate is DER": "CERT is DER; tls.certificate takes PEM: openssl x509 -inform DER -in CERT -out FILE",
    "the key is DER": "KEY is DER; tls.key takes PEM: openssl pkey -inform DER -in KEY -out FILE",
    "the files are swapped": "CERT holds a private key and not a certificate; are tls.certificate and tls.key swapped?",
    "the certificate is an archive": "CERT is a PKCS #12 archive; take it apart: openssl pkcs12 -in CERT -nokeys -out CERTIFICATE, and openssl pkcs12 -in CERT -nocerts -noenc -out KEY",
    "the certificate is a request": "CERT is a request for a certificate; tls.certificate takes what the CA issued for it",
    "the certificate is empty": "CERT is empty; it should hold the certificate and its chain (PEM)",
    "the key is empty": "KEY is empty; it should hold the private key (PEM)",
    "the certificate is something else": "CERT: not a certificate (PEM); the file should begin with -----BEGIN CERTIFICATE-----",
    "the key is something else": "KEY: not a private key (PEM); the file should begin with -----BEGIN PRIVATE KEY-----",
    "the key is a public one": "KEY is a public key; tls.key takes the private one",
    "the certificate is cut": "certificate 1 of CERT is damaged",
    "the intermediate is cut": "certificate 2 of CERT is damaged",
    "the certificate has expired": "CERT expired on DATE",
    "the certificate is of tomorrow": "CERT is not valid before DATE",
    "the certificate is for other names": "CERT does not cover NAME.web.test",
    "the key is short": "certificate 1 of CERT has a key that is too weak (RSA takes 2048 bits or more)",
    "the digest is old": "certificate 1 of CERT is signed with a digest that browsers do not take any more (SHA-256 is wanted)",
}

MISSING = ('CERT lacks the certificate of its issuer "own middle", so that browsers may refuse it; append that to the file, '
           "or, if it is a root of your own, trust it on this host (update-ca-certificates)")  # fmt: skip

CASES = [*GOOD, *BAD, "the intermediate is missing"]


def of(case):
    return f"o{CASES.index(case):02}"


def put(path, content, mode):
    with open(f"{path}.new", "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    os.chmod(f"{path}.new", mode)
    os.rename(f"{path}.new", path)


def place(name, pair):
    put(f"{PLACE}/{name}.pem", pair[0], 0o644)
    put(f"{PLACE}/{name}.key", pair[1], 0o600)


def text(name):
    return f'sites = ( {{ tls = {{ certificate = "{PLACE}/{name}.pem"; key = "{PLACE}/{name}.key"; }}; }} ); {NO_PHP}'


class Own:
    def __init__(self, host):
        self.host, self.chain = host, Chain()
        self.chain.trust()
        for case in CASES:
            place(of(case), made(case, self.chain, of(case)))
            host.drop(of(case), text(of(case)))
        for case in CASES:
            wait_for(f"{case} is served", lambda: served(host, of(case)), 30, 0.05)

    def message(self, name, reason):
        def look():
            found = self.host.condition(name, "Certificate")
            return found["message"] if found and found["reason"] == reason else None

        try:
            return wait_for(f"{name} {reason}", look, 15, 0.1)
        except Timeout as timeout:
            raise Timeout(f"{timeout}: {self.host.condition(name, 'Certificate')}") from None


def served(host, name):
    try:
        return host.served(name)
    except OSError:
        return None


@pytest.fixture(scope="module")
def own(accounts_of_the_module):
    os.makedirs(PLACE, exist_ok=True)
    host = Host().start()
    yield Own(host)
    host.destroy()
    shutil.rmtree(PLACE)


def shown(message, name):
    """The message with the paths of the case as CERT and KEY."""
    message = message.replace(f"{PLACE}/{name}.pem", "CERT").replace(f"{PLACE}/{name}.key", "KEY")
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "DATE", message.replace(f"{name}.web.test", "NAME.web.test"))


@pytest.mark.parametrize("case", GOOD)
def test_a_good_pair_is_served_and_ready_when_it_is(own, case):
    name = of(case)
    own.host.wait_ready(name)
    leaf = [pem for pem in split(read(f"{PLACE}/{name}.pem").replace("\r", ""))][0]
    assert own.host.served(name).split() == leaf.split()


def test_a_key_that_stands_beside_the_certificate_does_not_get_where_others_may_read(own):
    copy = f"{own.host.state_dir}/certs/{of('with the key in it, first')}"
    for directory, _, files in os.walk(copy):
        for file in files:
            path = f"{directory}/{file}"
            assert "PRIVATE KEY" not in read(path) or os.stat(path).st_mode & 0o7 == 0, path


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_and_what_puts_it_right_is_said_when(own, case):
    """… and the internal CA stands in, so that the site is served."""
    name = of(case)
    assert shown(own.message(name, "BadCertificate"), name).removeprefix("NAME.web.test: ") == BAD[case]
    assert own.host.get(name, "/", https=True).status == 403, "the internal CA's"


def test_a_chain_without_its_intermediate_is_served_and_not_ready(own):
    """… until the intermediate is there."""
    name = of("the intermediate is missing")
    assert shown(own.message(name, "ChainIncomplete"), name).removeprefix("NAME.web.test: ") == MISSING
    assert own.host.served(name).split() == read(f"{PLACE}/{name}.pem").split()
    assert not own.host.ready(name)
    leaf, key = read(f"{PLACE}/{name}.pem"), read(f"{PLACE}/{name}.key")
    place(name, (leaf + own.chain.intermediate, key))
    assert own.host.command("reload").returncode == 0
    own.host.wait_ready(name)
    context_root = own.chain.root.ca_file
    assert own.host.get(name, "/", https=True, cafile=context_root).status == 403
