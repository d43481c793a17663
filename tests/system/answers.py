"""Answers of a CA that tests make up, and what can happen to real ones: the actions of FaultyCA's rules.

An action is an Answer, or a function of the request; the latter gets the real one by request.forward().
"""

import datetime
import email.utils
import json

from certificates import https_authority, requested_names, split


class Cut(Exception):
    """The connection ends without an answer."""


class Answer:
    """headers: pairs, so that one may come twice. A body is bytes, or an iterable of bytes that is sent as it comes."""

    def __init__(self, status=200, body=b"", headers=None, content_type="application/json", wants_nonce=True):
        self.status, self.headers, self.wants_nonce = status, [], wants_nonce
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        self.body = body.encode() if isinstance(body, str) else body
        for name, value in {"Content-Type": content_type, **(headers or {})}.items():
            self.set(name, value)

    @staticmethod
    def of_response(response):
        """A real one: its nonce is its own affair."""
        answer = Answer(response.status, response.read(), content_type=None, wants_nonce=False)
        hop = {"connection", "content-length", "transfer-encoding", "date", "server"}
        answer.headers = [(name, value) for name, value in response.getheaders() if name.lower() not in hop]
        return answer

    def copy(self):
        answer = Answer(self.status, self.body, wants_nonce=self.wants_nonce)
        answer.headers = list(self.headers)
        return answer

    def get(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def set(self, name, value):
        """In place of all of that name; None: none of it."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        if value is not None:
            self.headers.append((name, str(value)))

    def add(self, name, value):
        self.headers.append((name, value))

    @property
    def json(self):
        """None where it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, TypeError):
            return None

    @json.setter
    def json(self, value):
        self.body = json.dumps(value).encode()


def problem(kind, status=400, detail="as the test wants it", retry_after=None, subproblems=None, **more):
    """RFC 8555, 6.7. subproblems: (kind, name, detail) each; a Retry-After of seconds, or a date as text."""
    body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, "status": status, **more}
    if subproblems:
        body["subproblems"] = [
            {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, "identifier": {"type": "dns", "value": name}}
            for kind, name, detail in subproblems
        ]
    return Answer(status, body, {"Retry-After": retry_after}, "application/problem+json")


LIMITS = {  # Let's Encrypt's sentences (boulder's ratelimits), up to their "retry after"
    "account": "too many new orders (300) from this account in the last 3h0m0s",
    "domain": 'too many certificates (50) already issued for "{name}" in the last 168h0m0s',
    "set": "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s",
    "name": 'too many failed authorizations (5) for "{name}" in the last 1h0m0s',
    "registration": "too many new registrations (10) from this IP address in the last 3h0m0s",
    "unknown": "too many moons",
}


def limited(scope, name="example.test", retry_after=3600, as_date=False, in_text=True, in_header=True):
    """429 as Let's Encrypt says it: the scope only in the text, the time in the text and in Retry-After."""
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=retry_after)
    text = LIMITS[scope].format(name=name)
    if in_text:
        text += moment.strftime(", retry after %Y-%m-%d %H:%M:%S UTC: see https://letsencrypt.org/docs/rate-limits/")
    when = email.utils.format_datetime(moment, usegmt=True) if as_date else retry_after
    return problem("rateLimited", 429, text, when if in_header else None)


def paused(name, url):
    """Until a person lets it go on, at that address."""
    return problem("rateLimited", 429, (
        f"Your account is temporarily prevented from requesting certificates for {name} and possibly others. "
        f"Please visit: {url}"))  # fmt: skip


def html(status=502, text="<html><body><h1>Bad Gateway</h1></body></html>", retry_after=None):
    """What stands before the CA answers, not the CA: no nonce."""
    return Answer(status, text, {"Retry-After": retry_after}, "text/html", wants_nonce=False)


def redirect(url, status=302):
    return Answer(status, b"", {"Location": url}, None, wants_nonce=False)


# The line ---------------------------------------------------------------------


def cut(_):
    """The CA never got it."""
    raise Cut


def lose(seen):
    """The CA did it, but the answer is lost."""
    seen.status = seen.forward().status
    raise Cut


def stall(seen, seconds=3600):
    """Nothing comes, until the CA stops."""
    seen.ca.ending.wait(seconds)
    raise Cut


def stall_after(seen):
    """The CA did it, and then nothing comes."""
    seen.status = seen.forward().status
    return stall(seen)


def delay(seconds):
    def action(seen):
        seen.ca.ending.wait(seconds)
        return seen.forward()

    return action


def drip(seconds=1.0, size=1):
    """The real body, `size` bytes each `seconds`."""

    def action(seen):
        answer = seen.forward()
        whole = answer.body
        answer.set("Content-Length", len(whole))

        def drops():
            for at in range(0, len(whole), size):
                yield whole[at : at + size]
                if seen.ca.ending.wait(seconds):
                    return

        answer.body = drops()
        return answer

    return action


def truncate(keep=0.5):
    """The connection ends within the body."""

    def action(seen):
        answer = seen.forward()
        answer.set("Content-Length", len(answer.body))
        answer.body = answer.body[: int(len(answer.body) * keep)]
        return answer

    return action


# The body ---------------------------------------------------------------------


def edit(change):
    """change(answer) alters the real answer in place."""

    def action(seen):
        answer = seen.forward()
        change(answer)
        return answer

    return action


def put(**fields):
    """Fields of the JSON have these values; None takes one out."""

    def change(answer):
        body = {**(answer.json or {}), **fields}
        answer.json = {key: value for key, value in body.items() if value is not None}

    return edit(change)


def tokens(value):
    """All challenges of an authorization have this token."""

    def change(answer):
        found = answer.json
        for challenge in found["challenges"]:
            challenge["token"] = value
        answer.json = found

    return edit(change)


def body(content, content_type=None):
    """Another body (bytes or text) under the real status and headers."""

    def change(answer):
        answer.body = content.encode() if isinstance(content, str) else content
        if content_type:
            answer.set("Content-Type", content_type)

    return edit(change)


def flood(total=1 << 30, block=b" " * 65536):
    """A body without end, as far as a client can tell."""

    def action(seen):
        answer = seen.forward()
        answer.body = (block for _ in range(total // len(block)))
        return answer

    return action


def deep(levels=100000):
    return body(b"[" * levels + b"]" * levels)


# Headers ----------------------------------------------------------------------


def header(name, value):
    """None: it is missing."""
    return edit(lambda answer: answer.set(name, value))


def doubled(name):
    return edit(lambda answer: answer.add(name, answer.get(name)))


def stale_nonce(nonce="c3RhbGU"):
    """A nonce that the CA will refuse; by default one that it never gave."""
    return header("Replay-Nonce", nonce)


# Certificates -----------------------------------------------------------------


def chain(change):
    """change(text) of the real chain: e.g. reordered, None for an empty one."""
    return edit(lambda answer: setattr(answer, "body", (change(answer.body.decode()) or "").encode()))


unordered = chain(lambda text: "".join(reversed(split(text))))
leaf_only = chain(lambda text: split(text)[0])
empty_chain = chain(lambda text: "")
long_chain = chain(lambda text: text + split(text)[-1] * 12)


def forged(authority=None, other_key=False, **options):
    """A chain that another authority makes for the client's own key: expired (end=-0.1), early (start=1), for other
    names (names=[…]), a CA's (is_ca=True), for another use (usage="clientAuth"), with a serial of one's wish."""

    def action(seen):
        signer, answer = authority or https_authority(), seen.forward()
        request = seen.ca.csrs[seen.path]
        if other_key:
            request = signer.request(requested_names(request), "other")
        answer.body = (signer.sign(request, **options) + signer.pem).encode()
        return answer

    return action
