"""The gateway's HTTPS API: every answer is held against the OpenAPI document that it serves."""
import functools
import json
import re

import jsonschema
import requests
import requests.adapters

from . import machine

DOCUMENT = machine.ROOT / "src" / "control" / "openapi.json"


@functools.cache
def document():
    return json.loads(DOCUMENT.read_text())


@functools.cache
def _paths():
    """[(pattern, path item)], literal segments before parameters."""
    items = sorted(document()["paths"].items(), key=lambda item: item[0].count("{"))
    return [(re.compile(re.sub(r"\\{[^/]*?\\}", "[^/]+", re.escape(path)) + "$"), path, item)
            for path, item in items]


def described(method, path):
    """The operation of the document for this path (without its query)."""
    for pattern, name, item in _paths():
        if pattern.match(path):
            assert method.lower() in item, f"{method} {name} is not described"
            return item[method.lower()]
    raise AssertionError(f"{path} is not described")


def _resolve(value):
    while "$ref" in value:
        target = document()
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = target
    return value


def check(method, path, answer):
    """Holds an answer against the document: its status, its type and its body."""
    operation = described(method, path.partition("?")[0])
    status = str(answer.status_code)
    assert status in operation["responses"], f"{method} {path}: {status} is not described: {answer.text[:300]}"
    content = _resolve(operation["responses"][status]).get("content", {})
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if not content:
        assert not answer.content, f"{method} {path}: a body that is not described"
        return
    assert kind in content, f"{method} {path}: {kind} is not described"
    if kind.endswith("json") and "schema" in content[kind]:
        validator = jsonschema.Draft202012Validator(
            {**content[kind]["schema"], "components": document()["components"]})
        body = answer.text if kind == "application/x-ndjson" else answer.json()
        problem = jsonschema.exceptions.best_match(validator.iter_errors(body))
        assert problem is None, \
            f"{method} {path}: {problem.json_path}: {problem.message}\n{answer.text[:2000]}"


class _From(requests.adapters.HTTPAdapter):
    """Connects from an address of this machine: rates count for an address."""

    def __init__(self, source):
        self.source = source
        super().__init__()

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, source_address=(self.source, 0), **options)


class Api:
    """One client; `token` goes as a bearer token, unless a cookie is used. `source`: an address
    that it connects from (127.…)."""

    def __init__(self, gateway, token=None, source=None):
        self.url = gateway.console_url
        self.session = requests.Session()
        self.session.verify = str(gateway.authority.ca)
        self.session.trust_env = False
        if source:
            self.session.mount("https://", _From(source))
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def raw(self, method, path, body=None, **options):
        """The answer, held against the document. `body` goes as JSON."""
        if body is not None:
            options.setdefault("json", body)
        answer = self.session.request(method, self.url + path, timeout=machine.PATIENCE,
                                      allow_redirects=False, **options)
        if path.startswith("/v1/"):
            check(method, path, answer)
        return answer

    def status(self, method, path, body=None):
        return self.raw(method, path, body).status_code

    def get(self, path, expect=200):
        return self._call("GET", path, None, expect)

    def post(self, path, body=None, expect=200):
        """`expect` None: any success."""
        return self._call("POST", path, {} if body is None else body, expect)

    def _call(self, method, path, body, expect):
        answer = self.raw(method, path, body)
        fine = answer.status_code < 300 if expect is None else answer.status_code == expect
        assert fine, f"{method} {path}: {answer.status_code} {answer.text[:1000]}"
        return answer.json() if answer.content and "json" in answer.headers["Content-Type"] else \
            answer.text

    def events(self, path="/v1/events"):
        """Server-sent events as (event, data), from this call on, as long as the caller reads."""
        answer = self.session.get(self.url + path, stream=True, timeout=machine.PATIENCE)
        assert answer.status_code == 200, answer.text
        return _events_of(answer)


def _events_of(answer):
    with answer:
        name, data = "message", []
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            if not line:
                if data:
                    yield name, json.loads("\n".join(data))
                name, data = "message", []
            elif line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].lstrip())


class Browser(Api):
    """One that logs in, and then has a cookie and the CSRF token that goes with it."""

    def login(self, token):
        """By a token, once, as the login link does."""
        answer = self.raw("POST", "/v1/login", {"token": token})
        assert answer.status_code == 200, answer.text
        return self.take_csrf()

    def take_csrf(self):
        """Every request sends it from now on."""
        me = self.get("/v1/me")
        self.session.headers["X-CSRF-Token"] = me["csrf"]
        return me
