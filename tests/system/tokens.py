"""Tokens, good and bad, and the issuers that they come from.

How to use it:

    with IssuerServer() as server:                  # issuers on loopback, keys made at random
        config = issuers_yaml(server.base_url)      # the `issuers:` part of the configuration
        ... start the gateway with it ...
        forge = Forge(server)
        token = forge.good()                        # accepted: subject "agent", group "agents"
        for number, (name, maker) in CASES.items():
            for token, accepted in maker(forge):    # present them one after the other
                ...

`CASES` is the numbered list of negative tests. Each maker is a generator of pairs: a token (text,
or a HugeToken that must be streamed) and whether it must be accepted. Take a pair, present the
token, then take the next: a maker may rotate keys between two pairs, and checks after its last
one what only it knows (how many fetches there were), raising AssertionError. Each token that must
be refused needs a ledger record and no connection to a target. Number 14 is a positive control;
number 51 presents `forge.repeats` tokens with unknown keys and counts fetches.

A token may be empty, and may hold spaces, line ends or bytes beyond ASCII (as text in latin-1).

The issuers (issuers_yaml):
    all       every algorithm; its key set also has keys that must not be used
    rs256     RS256 only
    es256     ES256 only
    strict    types: [at+jwt]
    parties   authorized_parties: [planner]
    once      one_use: true
    rotating  its keys are rotated by test 53
    disabled  enabled: false
    nested    groups_claim: realm_access.roles; jwks_uri given
Policies may rely on the subject "agent" and the group "agents" of any of them.

Only the standard library and python3-cryptography are needed.
"""

import base64
import datetime
import hashlib
import hmac
import http.server
import json
import threading
import time
import zlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import NameOID

AUDIENCE = "bulkhead"
TOKEN_BYTES_MAX = 16384

# name: (algorithms, further configuration)
ISSUERS = {
    "all": (["RS256", "PS256", "ES256", "ES384"], {}),
    "rs256": (["RS256"], {}),
    "es256": (["ES256"], {}),
    "strict": (["ES256"], {"types": ["at+jwt"]}),
    "parties": (["ES256"], {"authorized_parties": ["planner"]}),
    "once": (["ES256"], {"one_use": True}),
    "rotating": (["ES256"], {}),
    "disabled": (["ES256"], {"enabled": False}),
    "nested": (["ES256"], {"groups_claim": "realm_access.roles"}),
}


def issuers_yaml(base_url, ca=None):
    """The `issuers:` part of a configuration, as YAML (written as JSON, which is YAML)."""
    lines = ["issuers:"]
    for name, (algorithms, more) in ISSUERS.items():
        entry = {
            "name": name,
            "issuer": f"{base_url}/{name}",
            "audience": AUDIENCE,
            "groups_claim": "groups",
            "algorithms": algorithms,
            "max_lifetime": "1h",
        }
        if name == "nested":
            entry["jwks_uri"] = f"{base_url}/{name}/keys"
        if ca is not None:
            entry["ca"] = str(ca)
        entry.update(more)
        lines.append("  - " + json.dumps(entry))
    return "\n".join(lines) + "\n"


# Encoding.


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))


def dump(value):
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


# Keys.


class Key:
    """A private key with its id."""

    def __init__(self, kid, private):
        self.kid = kid
        self.private = private

    def jwk(self, **more):
        public = self.private.public_key().public_numbers()
        if isinstance(self.private, rsa.RSAPrivateKey):
            key = {"kty": "RSA", "n": number(public.n), "e": number(public.e)}
        else:
            size = (self.private.curve.key_size + 7) // 8
            key = {"kty": "EC", "crv": f"P-{self.private.curve.key_size}"}
            key.update(x=number(public.x, size), y=number(public.y, size))
        key["kid"] = self.kid
        key.update(more)
        return key

    def pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, alg, data, der=False):
        digest = hashes.SHA384() if alg.endswith("384") else hashes.SHA256()
        if isinstance(self.private, rsa.RSAPrivateKey):
            scheme = padding.PKCS1v15()
            if alg.startswith("PS"):
                scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
            return self.private.sign(data, scheme, digest)
        signature = self.private.sign(data, ec.ECDSA(digest))
        if der:
            return signature
        size = (self.private.curve.key_size + 7) // 8
        r, s = utils.decode_dss_signature(signature)
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def rsa_key(kid, bits=2048):
    return Key(kid, rsa.generate_private_key(65537, bits))


def ec_key(kid, curve=ec.SECP256R1):
    return Key(kid, ec.generate_private_key(curve()))


class Issuer:
    """What one issuer signs with, and what it publishes."""

    def __init__(self, name, algorithms):
        self.name = name
        self.keys = {}  # by algorithm
        self.extra = []  # more JWKs
        self.generation = 0
        self.fetches = 0
        self.algorithms = algorithms
        self.make_keys()

    def make_keys(self):
        self.generation += 1
        suffix = f"{self.name}-{self.generation}"
        if "RS256" in self.algorithms:
            self.keys["RS256"] = self.keys["PS256"] = rsa_key(f"rsa-{suffix}")
        if "ES256" in self.algorithms:
            self.keys["ES256"] = ec_key(f"p256-{suffix}")
        if "ES384" in self.algorithms:
            self.keys["ES384"] = ec_key(f"p384-{suffix}", ec.SECP384R1)

    def jwks(self):
        keys = {key.kid: key.jwk(use="sig") for key in self.keys.values()}
        return {"keys": list(keys.values()) + self.extra}


class IssuerServer:
    """Serves discovery documents and key sets on loopback, and counts the fetches of key sets."""

    def __init__(self):
        self.issuers = {name: Issuer(name, algs) for name, (algs, _) in ISSUERS.items()}
        self.requests = []  # every path asked for
        self.broken = set()  # issuers that answer 503
        self.delay_s = {}  # issuer: seconds before it answers
        self.lock = threading.Lock()
        self._add_bad_keys(self.issuers["all"])
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer._answer(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # all issuers are asked at once

        self._httpd = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._httpd.server_address[1]}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, daemon=True)

    def _add_bad_keys(self, issuer):
        """Keys that no verifier may use, and the private halves with which tests sign."""
        self.weak = rsa_key("weak", 1024)
        self.encryption = rsa_key("encryption")
        self.no_alg = issuer.keys["RS256"]
        good = rsa_key("exponent-one")
        self.exponent_one_n = good.private.public_key().public_numbers().n
        off_curve = ec_key("off-curve").jwk()
        off_curve["y"] = off_curve["x"]
        issuer.extra = [
            self.weak.jwk(),
            self.encryption.jwk(use="enc"),
            {"kty": "RSA", "kid": "exponent-one", "n": number(self.exponent_one_n), "e": "AQ"},
            off_curve,
            {"kty": "oct", "kid": "symmetric", "k": b64(b"0" * 32)},
        ]

    def _answer(self, request):
        name, _, rest = request.path.lstrip("/").partition("/")
        with self.lock:
            self.requests.append(request.path)
            issuer = self.issuers.get(name)
            body = None
            if issuer is not None and rest == ".well-known/openid-configuration":
                base = f"{self.base_url}/{name}"
                body = {"issuer": base, "jwks_uri": f"{base}/keys"}
            elif issuer is not None and rest == "keys":
                issuer.fetches += 1
                body = issuer.jwks()
            status = 503 if name in self.broken else 200 if body is not None else 404
        time.sleep(self.delay_s.get(name, 0))
        data = dump(body if body is not None else {})
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def fetches(self, name):
        """How often the key set of issuer `name` was fetched."""
        with self.lock:
            return self.issuers[name].fetches

    def rotate(self, name):
        """New keys; the old ones are published no more."""
        with self.lock:
            self.issuers[name].make_keys()

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    def __enter__(self):
        return self.start()

    def __exit__(self, *args):
        self.stop()


class HugeToken:
    """A token too large to hold: stream chunks() until the peer has had enough."""

    def __init__(self, header_bytes, tail):
        self.header_bytes = header_bytes
        self.tail = tail

    def __len__(self):
        return self.header_bytes + len(self.tail)

    def chunks(self, size=65536):
        left = self.header_bytes
        while left > 0:
            yield b"A" * min(size, left)
            left -= size
        yield self.tail

    def prefix(self, size):
        return (b"A" * min(size, self.header_bytes)).decode()


class Forge:
    """Makes tokens of the server's issuers."""

    def __init__(self, server, repeats=10000):
        self.server = server
        self.repeats = repeats  # how many tokens test 51 presents
        self._count = 0

    def issuer_url(self, name):
        return f"{self.server.base_url}/{name}"

    def key(self, issuer, alg):
        return self.server.issuers[issuer].keys[alg]

    def claims(self, issuer="all", **more):
        """Good claims; a value of None removes one."""
        self._count += 1
        now = int(time.time())
        claims = {
            "iss": self.issuer_url(issuer),
            "sub": "agent",
            "aud": AUDIENCE,
            "groups": ["agents"],
            "realm_access": {"roles": ["agents"]},
            "azp": "planner",
            "iat": now,
            "exp": now + 600,
            "jti": f"{now}-{id(self)}-{self._count}",
        }
        claims.update(more)
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, key, alg, header, payload):
        """A compact token of any header and payload (a value, or bytes taken as they are)."""
        text = f"{b64(dump(header))}.{b64(dump(payload))}"
        return f"{text}.{b64(key.sign(alg, text.encode()))}"

    def header(self, issuer, algorithm, **more):
        header = {"alg": algorithm, "typ": "at+jwt", "kid": self.key(issuer, algorithm).kid}
        header.update(more)
        return {name: value for name, value in header.items() if value is not None}

    def good(self, issuer="all", alg=None, header=None, **claims):
        """A good token, but for what the arguments change."""
        alg = alg or ISSUERS[issuer][0][-1 if issuer != "all" else 0]
        return self.sign(
            self.key(issuer, alg),
            alg,
            self.header(issuer, alg, **(header or {})),
            self.claims(issuer, **claims),
        )

    def raw(self, issuer="all", alg="RS256", header=None, payload=None):
        """A signed token whose header or payload are bytes or another value."""
        return self.sign(
            self.key(issuer, alg),
            alg,
            self.header(issuer, alg) if header is None else header,
            self.claims(issuer) if payload is None else payload,
        )

    def hmac(self, secret, header, payload=None):
        text = f"{b64(dump(header))}.{b64(dump(payload or self.claims()))}"
        return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"

    def with_signature(self, signature, issuer="es256", alg="ES256", **header):
        text = f"{b64(dump(self.header(issuer, alg, **header)))}.{b64(dump(self.claims(issuer)))}"
        return f"{text}.{b64(signature)}"

    def of_length(self, length, issuer="es256"):
        """A good token of exactly `length` characters."""
        for filler in range(length):
            guess = max(0, (length - 800) * 3 // 4 + filler)
            for more in range(4):  # the lengths of base64 leave gaps: `x` in the header fills them
                token = self.good(issuer, header={"x": "y" * more}, filler="z" * guess)
                if len(token) == length:
                    return token
            if len(token) > length + 8:
                break
        raise AssertionError(f"no token of {length} characters")


# The cases, by number.

CASES = {}


def case(num, name):
    def add(maker):
        assert num not in CASES
        CASES[num] = (name, maker)
        return maker

    return add


def refused(num, name, *makers):
    """A case of tokens that must each be refused."""

    def maker(forge):
        for make in makers:
            yield make(forge), False

    case(num, name)(maker)


def part(token, index, change):
    """`token` with one of its parts changed."""
    parts = token.split(".")
    parts[index] = change(parts[index])
    return ".".join(parts)


def altered(forge, encode, payload=None):
    """Signed over its own, differently encoded text."""
    key = forge.key("all", "RS256")
    text = ".".join(
        encode(dump(value))
        for value in (forge.header("all", "RS256"), payload or forge.claims("all"))
    )
    return f"{text}.{encode(key.sign('RS256', text.encode('latin-1')))}"


# Shape.

refused(1, "empty", lambda f: "")
refused(2, "two segments", lambda f: f.good().rsplit(".", 1)[0])
refused(3, "four segments", lambda f: f.good() + ".AAAA", lambda f: "." + f.good())
refused(4, "five segments (JWE)", lambda f: f.good() + ".AAAA.AAAA")


def json_jws(f, more=None):
    header, payload, signature = f.good().split(".")
    value = {"protected": header, "payload": payload, "signature": signature}
    return json.dumps({**(more or {}), **value})


refused(
    5,
    "JSON-serialised JWS",
    json_jws,
    lambda f: json.dumps(
        {
            "payload": json.loads(json_jws(f))["payload"],
            "signatures": [json.loads(json_jws(f))],
        }
    ),
)


def polyglot(f):
    header, _, _ = f.good().split(".")
    forged = b64(dump(f.claims(sub="admin")))
    return json_jws(f, {f"  {header}.{forged}.": ""})


refused(6, "polyglot JSON and compact", polyglot)
refused(
    7,
    "standard base64",
    lambda f: altered(
        f,
        lambda data: base64.b64encode(data).rstrip(b"=").decode(),
        f.claims(filler="\u00ff?>?>?>?>~~~"),
    ),
)


def padded(data):
    text = base64.urlsafe_b64encode(data).decode()
    return text if text.endswith("=") else text + "="


refused(
    8,
    "padding",
    lambda f: altered(f, padded),
    lambda f: part(f.good(alg="RS256"), 2, lambda s: s + "=="),
)
refused(
    9,
    "embedded newline",
    lambda f: part(f.good(), 1, lambda s: s[:20] + "\n" + s[20:]),
    lambda f: f.good() + "\n",
    lambda f: " " + f.good(),
)


def trailing_bits(f):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return part(
        f.good(alg="RS256"), 2, lambda s: s[:-1] + alphabet[alphabet.index(s[-1]) | 1]
    )


refused(10, "non-zero trailing bits", trailing_bits)
refused(11, "100,000 dots", lambda f: "." * 100000)
refused(12, "500 MB header", lambda f: HugeToken(500 * 1000 * 1000, b".e30.AAAA"))
refused(13, "16 KiB and one more", lambda f: f.of_length(TOKEN_BYTES_MAX + 1))


@case(14, "4,001 characters are read (positive control)")
def _(f):
    yield f.of_length(4001), True
    yield f.of_length(TOKEN_BYTES_MAX), True


refused(
    15,
    "NUL in a claim",
    lambda f: f.good(sub="agent\0admin"),
    lambda f: f.raw(payload=dump(f.claims()).replace(b'"agent"', b'"agent\0"')),
)
refused(
    16,
    "invalid UTF-8",
    lambda f: f.raw(payload=dump(f.claims()).replace(b'"agent"', b'"agent\xff"')),
    lambda f: f.raw(payload=dump(f.claims()).replace(b'"agent"', b'"\xed\xa0\x80"')),
)
refused(
    17,
    "depth bomb",
    lambda f: f.raw(
        payload=dump(f.claims(x="@")).replace(b'"@"', b"[" * 5000 + b"]" * 5000)
    ),
    lambda f: f.raw(payload=b'{"a":' * 1500 + b"1" + b"}" * 1500),
)
refused(18, "payload is an array", lambda f: f.raw(payload=[f.claims()]), lambda f: f.raw(payload=[]))
refused(19, "payload is a string", lambda f: f.raw(payload="agent"), lambda f: f.raw(payload=b"null"))
refused(20, "header is an array", lambda f: f.raw(header=[f.header("all", "RS256")]))
refused(
    21,
    "byte order mark",
    lambda f: f.raw(payload=b"\xef\xbb\xbf" + dump(f.claims())),
    lambda f: f.raw(header=b"\xef\xbb\xbf" + dump(f.header("all", "RS256"))),
)

# Algorithm.


def unsigned(f, alg):
    return f"{b64(dump({'alg': alg, 'typ': 'at+jwt'}))}.{b64(dump(f.claims()))}."


refused(22, "none", lambda f: unsigned(f, "none"), lambda f: f.good(header={"alg": "none"}))
refused(23, "nOnE", lambda f: unsigned(f, "nOnE"), lambda f: unsigned(f, "NONE"))
refused(24, "alg missing", lambda f: f.good(header={"alg": None}))
refused(25, "numeric alg", lambda f: f.good(header={"alg": 256}))


def confused(issuer, alg, change=lambda pem: pem):
    """HS256 with a public key as the secret."""

    def make(f):
        key = f.key(issuer, alg)
        header = {"alg": "HS256", "typ": "at+jwt", "kid": key.kid}
        return f.hmac(change(key.pem()), header, f.claims(issuer))

    return make


refused(26, "HS256 with the RSA key in PEM as secret", confused("all", "RS256"), confused("rs256", "RS256"))
refused(
    27,
    "the same with leading white space",
    confused("all", "RS256", lambda pem: b"\n " + pem),
    confused("all", "RS256", lambda pem: pem.strip()),
    lambda f: f.good(header={"alg": " RS256"}),
)
refused(28, "HS256 against an RSA key without alg, empty secret", confused("all", "RS256", lambda pem: b""))
refused(29, "HS256 with the EC key as secret", confused("es256", "ES256"))
refused(
    30,
    "RS256 header on an ES256 key",
    lambda f: f.sign(
        f.key("all", "RS256"),
        "RS256",
        f.header("all", "RS256", kid=f.key("all", "ES256").kid),
        f.claims(),
    ),
    lambda f: f.good("es256", header={"alg": "RS256"}),
)
refused(
    31,
    "PS256 where only RS256 is allowed",
    lambda f: f.sign(
        f.key("rs256", "RS256"),
        "PS256",
        {"alg": "PS256", "typ": "at+jwt", "kid": f.key("rs256", "RS256").kid},
        f.claims("rs256"),
    ),
)
refused(32, "zero r and s", lambda f: f.with_signature(bytes(64)), lambda f: f.with_signature(b"\x01" * 32 + bytes(32)))


def der_signature(f):
    text = f"{b64(dump(f.header('es256', 'ES256')))}.{b64(dump(f.claims('es256')))}"
    return f"{text}.{b64(f.key('es256', 'ES256').sign('ES256', text.encode(), der=True))}"


refused(33, "ECDSA signature in DER", der_signature)


def resized(change):
    return lambda f: part(
        f.good("es256"), 2, lambda s: b64(change(base64.urlsafe_b64decode(s + "==")))
    )


refused(
    34,
    "ECDSA signature too long or too short",
    resized(lambda s: s + b"\0"),
    resized(lambda s: b"\0" + s[:32] + b"\0" + s[32:]),
    resized(lambda s: s[:63]),
    resized(lambda s: s[:32]),
)
refused(35, "empty signature", lambda f: f.good().rsplit(".", 1)[0] + ".")
refused(
    36,
    "signature of another issuer's key",
    lambda f: f.sign(f.key("es256", "ES256"), "ES256", f.header("es256", "ES256"), f.claims("all")),
    lambda f: f.sign(f.key("es256", "ES256"), "ES256", f.header("all", "ES256"), f.claims("all")),
    lambda f: f.sign(
        f.key("es256", "ES256"), "ES256", {"alg": "ES256", "typ": "at+jwt"}, f.claims("strict")
    ),
)


def with_key(f, key, alg="RS256", **more):
    header = {"alg": alg, "typ": "at+jwt", "kid": key.kid, **more}
    return f.sign(key, alg, header, f.claims())


refused(37, "RSA key of 1,024 bits", lambda f: with_key(f, f.server.weak))


def exponent_one(f):
    """With e = 1 the padded digest is its own signature."""
    text = b64(dump({"alg": "RS256", "typ": "at+jwt", "kid": "exponent-one"}))
    text += "." + b64(dump(f.claims()))
    info = bytes.fromhex("3031300d060960864801650304020105000420")
    info += hashlib.sha256(text.encode()).digest()
    block = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
    return f"{text}.{b64(block)}"


refused(38, "RSA key with exponent 1", exponent_one)
refused(39, "EC key off the curve", lambda f: with_key(f, ec_key("off-curve"), "ES256"))

# Header.


def own_key(f, alg="ES256", **more):
    """Signed by a key that came with the token."""
    key = ec_key("mine")
    header = {"alg": alg, "typ": "at+jwt", "kid": key.kid}
    for name, make in more.items():
        header[name] = make(key)
    return f.sign(key, alg, header, f.claims())


def certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.datetime.utcnow()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.private.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key.private, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()


refused(
    40,
    "embedded jwk",
    lambda f: own_key(f, jwk=lambda key: key.jwk()),
    lambda f: f.good(header={"jwk": f.key("all", "RS256").jwk()}),
)


def remote_key(num, member):
    @case(num, member)
    def _(f):
        url = f"{f.server.base_url}/attacker/{member}"
        yield own_key(f, **{member: lambda key: url}), False
        yield f.good(header={member: url}), False
        assert not [p for p in f.server.requests if p.startswith("/attacker")], "it was fetched"


remote_key(41, "jku")
remote_key(42, "x5u")
refused(43, "self-signed x5c", lambda f: own_key(f, x5c=lambda key: [certificate(key)]))
refused(44, "unknown crit", lambda f: f.good(header={"crit": ["x-new"], "x-new": True}))
refused(45, "empty crit", lambda f: f.good(header={"crit": []}))


def unencoded(f):
    """Signed over the payload as it is (RFC 7797), sent encoded."""
    header = b64(dump(f.header("all", "RS256", b64=False, crit=["b64"])))
    payload = dump(f.claims())
    signature = f.key("all", "RS256").sign("RS256", header.encode() + b"." + payload)
    return f"{header}.{b64(payload)}.{b64(signature)}"


refused(46, "b64: false", unencoded, lambda f: f.good(header={"b64": False}))


def deflated(f, filler=""):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = squeeze.compress(dump(f.claims(filler=filler))) + squeeze.flush()
    return f.raw(header=f.header("all", "RS256", zip="DEF"), payload=payload)


refused(
    47,
    "zip: DEF",
    deflated,
    lambda f: deflated(f, "0" * 5000000),
    lambda f: f.good(header={"zip": "DEF"}),
)


def pbes2(f):
    header = {"alg": "PBES2-HS256+A128KW", "p2s": b64(b"salt" * 4), "p2c": 1000000000}
    return b64(dump({**header, "enc": "A128CBC-HS256"}))


refused(
    48,
    "PBES2 with a huge p2c",
    lambda f: f"{pbes2(f)}.{b64(b'k' * 24)}.{b64(b'i' * 16)}.{b64(b'c' * 64)}.{b64(b't' * 16)}",
    lambda f: f"{pbes2(f)}.{b64(dump(f.claims()))}.{b64(b's' * 64)}",
)


def kid_trick(kid):
    return (
        lambda f: f.hmac(b"", {"alg": "HS256", "typ": "at+jwt", "kid": kid}),
        lambda f: f.good(header={"kid": kid}),
    )


refused(49, "kid is a path", *kid_trick("../../../../../../dev/null"), *kid_trick("/etc/passwd"))
refused(50, "kid with an SQL quote", *kid_trick("x' UNION SELECT 'key' --"), *kid_trick("'"))


@case(51, "unknown kid again and again causes one fetch at most")
def _(f):
    yield f.good("es256"), True
    before = f.server.fetches("es256")
    started = time.monotonic()
    text = b64(dump(f.claims("es256")))
    for i in range(f.repeats):
        header = b64(dump({"alg": "ES256", "typ": "at+jwt", "kid": f"unknown-{i}"}))
        yield f"{header}.{text}.{b64(bytes([1]) * 64)}", False
    fetches = f.server.fetches("es256") - before
    # One in 30 s, and perhaps one in the background.
    allowed = 1 + int((time.monotonic() - started) / 30)
    assert fetches <= allowed, f"{fetches} fetches, {allowed} allowed"


refused(52, "key with use: enc", lambda f: with_key(f, f.server.encryption))


@case(53, "a retired key after rotation")
def _(f):
    old = f.good("rotating")
    yield old, True
    f.server.rotate("rotating")
    yield f.good("rotating"), True
    yield old, False


refused(
    54,
    "alg twice",
    lambda f: f.raw(
        header=b'{"alg":"none",' + dump(f.header("all", "RS256"))[1:],
    ),
    lambda f: f.raw(header=dump(f.header("all", "RS256"))[:-1] + b',"alg":"RS256"}'),
)

# Claims.


def again(name, value):
    return lambda f: f.raw(payload=dump(f.claims())[:-1] + f',"{name}":{value}}}'.encode())


refused(
    55,
    "aud or groups twice",
    again("aud", '"bulkhead"'),
    again("aud", '"other"'),
    again("groups", '["admin"]'),
    again("\\u0061ud", '"bulkhead"'),
)
refused(
    56,
    "iss is an array",
    lambda f: f.good(iss=[f.issuer_url("all")]),
    lambda f: f.good(iss=[f.issuer_url("all"), "https://attacker.example"]),
)
refused(
    57,
    "iss with a slash at its end or in another case",
    lambda f: f.good(iss=f.issuer_url("all") + "/"),
    lambda f: f.good(iss=f.issuer_url("ALL")),
    lambda f: f.good(iss=f.issuer_url("all").replace("http:", "HTTP:")),
)
refused(58, "aud missing", lambda f: f.good(aud=None), lambda f: f.raw(payload={**f.claims(), "aud": None}))
refused(59, "aud is empty", lambda f: f.good(aud=[]), lambda f: f.good(aud=""), lambda f: f.good(aud=[""]))
refused(
    60,
    "aud is a part of ours, or ours of it",
    *[
        lambda f, aud=aud: f.good(aud=aud)
        for aud in ("bulk", "bulkhead2", "a bulkhead", "BULKHEAD", "bulkhead/", ["bulkhead "])
    ],
)
refused(61, "another audience", lambda f: f.good(aud="billing"), lambda f: f.good(aud=["billing", "crm"]))
refused(
    62,
    "wrong azp",
    lambda f: f.good("parties", azp="intruder"),
    lambda f: f.good("parties", azp=None),
    lambda f: f.good("parties", azp=None, client_id="intruder"),
    lambda f: f.good("parties", client_id="intruder"),
    lambda f: f.good("parties", azp=["planner"]),
)
refused(63, "exp is a string", lambda f: f.good(exp=str(int(time.time()) + 600)))
refused(64, "exp missing", lambda f: f.good(exp=None), lambda f: f.raw(payload={**f.claims(), "exp": None}))


def exp_text(text):
    return lambda f: f.raw(payload=dump(f.claims(exp="@")).replace(b'"@"', text.encode()))


refused(
    65,
    "exp out of range",
    exp_text("1e308"),
    exp_text("1e999"),
    exp_text("-1"),
    exp_text("9223372036854775807"),
    exp_text("9223372036854775808"),
    exp_text("18446744073709551617"),
    lambda f: f.good(exp=time.time() + 600.5),
    lambda f: f.good(exp=int(time.time()) - 5),
    lambda f: f.good(exp=True),
)
refused(66, "nbf in the future", lambda f: f.good(nbf=int(time.time()) + 300))
refused(
    67,
    "iat far in the future",
    lambda f: f.good(iat=int(time.time()) + 300),
    lambda f: f.good(iat="now"),
)
refused(
    68,
    "ID or logout token where an access token is needed",
    lambda f: f.good("strict", header={"typ": "JWT"}),
    lambda f: f.good("strict", header={"typ": None}),
    lambda f: f.good("strict", header={"typ": "logout+jwt"}),
    lambda f: f.good("all", header={"typ": "JWT"}, nonce="n", at_hash="h"),
    lambda f: f.good(
        "all",
        header={"typ": "JWT"},
        events={"http://schemas.openid.net/event/backchannel-logout": {}},
    ),
)
refused(
    69,
    "groups is a string",
    lambda f: f.good(groups="agents"),
    lambda f: f.good(groups={"agents": True}),
    lambda f: f.good(groups=["agents", 1]),
    lambda f: f.good("nested", realm_access={"roles": "agents"}),
)
refused(
    70,
    "groups left out for being too many",
    lambda f: f.good(
        groups=None,
        _claim_names={"groups": "src1"},
        _claim_sources={"src1": {"endpoint": f"{f.server.base_url}/attacker/groups"}},
    ),
    lambda f: f.good(groups=None, hasgroups=True),
)
refused(
    71,
    "cnf without proof",
    lambda f: f.good(cnf={"jkt": b64(bytes(32))}),
    lambda f: f.good(cnf={"x5t#S256": b64(bytes(32))}),
)


@case(72, "a one-use token again")
def _(f):
    token = f.good("once")
    yield token, True
    yield token, False
    yield f.good("once", jti=None), False


refused(73, "a disabled issuer", lambda f: f.good("disabled"))

assert sorted(CASES) == list(range(1, 74))


def good_tokens(forge):
    """A token of every issuer and algorithm that must be accepted: (description, token)."""
    for issuer, (algorithms, more) in ISSUERS.items():
        if more.get("enabled", True):
            for alg in algorithms:
                yield f"{issuer} {alg}", forge.good(issuer, alg)
    yield "typ JWT", forge.good(header={"typ": "JWT"})
    yield "typ as a media type", forge.good(header={"typ": "application/at+jwt"})
    yield "aud among others", forge.good(aud=["billing", AUDIENCE])
    yield "client_id for azp", forge.good("parties", azp=None, client_id="planner")
