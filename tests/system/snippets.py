"""Short pieces of PHP that a webspace's own pool runs, and what they say."""

import itertools
import json

numbers = itertools.count(1)


def php(host, name, code, seconds=10, **options):
    """Runs code as name through nginx; what it echoed. The script is gone afterwards."""
    return answer(host, name, code, seconds, **options).text


def answer(host, name, code, seconds=10, status=200, **options):
    script = f"snippet{next(numbers)}.php"
    host.write(name, script, f"<?php header('Content-Type: text/plain'); {code}")
    return host.wait_answers(name, f"/{script}", seconds, status, https=True, timeout=20, **options)


def values(host, name, code, **options):
    """As php, for code that returns a value."""
    return json.loads(php(host, name, f"echo json_encode((function() {{ {code} }})(), JSON_PARTIAL_OUTPUT_ON_ERROR);", **options))


def multipart(field, filename, content, boundary="end-of-part"):
    """(body, headers) of a form with one file."""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
