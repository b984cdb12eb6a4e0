"""Receivers of notifications: each checks what it gets against what its service documents, and can
be told to fail. Only the standard library."""
import base64
import email
import email.policy
import hashlib
import hmac
import json
import re
import socket
import socketserver
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Problems(list):
    """What was wrong with what came."""

    def check(self, condition, text):
        if not condition:
            self.append(text)


# --- schemas ------------------------------------------------------------------------------------

def check_text(problems, text, longest, where):
    problems.check(text.get("type") in ("plain_text", "mrkdwn"), f"{where}: type of text")
    problems.check(0 < len(text.get("text", "")) <= longest, f"{where}: length of text")
    if text.get("type") == "mrkdwn":
        problems.check("emoji" not in text, f"{where}: emoji in mrkdwn")
        problems.check(not re.search(r"<(?!https?:)|&(?!amp;|lt;|gt;)", text.get("text", "")),
                       f"{where}: not escaped")
    else:
        problems.check("verbatim" not in text, f"{where}: verbatim in plain_text")
    problems.check(set(text) <= {"type", "text", "emoji", "verbatim"}, f"{where}: unknown keys")


def check_slack(problems, message):
    """Block Kit, as api.slack.com documents it."""
    problems.check(set(message) <= {"text", "blocks", "replace_original", "response_type"},
                   "unknown keys of a message")
    problems.check(isinstance(message.get("text"), str) and len(message["text"]) <= 40000, "text")
    blocks = message.get("blocks", [])
    problems.check(len(blocks) <= 50, "too many blocks")
    problems.check(len(json.dumps(blocks)) < 13000, "blocks too long")
    for block in blocks:
        kind = block.get("type")
        problems.check(kind in ("header", "section", "actions"), f"block of type {kind}")
        if kind == "header":
            check_text(problems, block["text"], 150, "header")
            problems.check(block["text"]["type"] == "plain_text", "header: not plain")
        elif kind == "section":
            problems.check("text" in block or block.get("fields"), "an empty section")
            if "text" in block:
                check_text(problems, block["text"], 3000, "section")
            problems.check(len(block.get("fields", [])) <= 10, "too many fields")
            for field in block.get("fields", []):
                check_text(problems, field, 2000, "field")
        elif kind == "actions":
            problems.check(1 <= len(block["elements"]) <= 25, "number of elements")
            actions = [element["action_id"] for element in block["elements"]]
            problems.check(len(set(actions)) == len(actions), "an action_id twice")
            for element in block["elements"]:
                problems.check(element["type"] == "button", "not a button")
                check_text(problems, element["text"], 75, "button")
                problems.check(element["text"]["type"] == "plain_text", "button: not plain")
                problems.check(len(element["action_id"]) <= 255, "action_id")
                problems.check(len(element.get("value", "")) <= 2000, "value")
                problems.check(len(element.get("url", "")) <= 3000, "url")
                problems.check(element.get("style", "primary") in ("primary", "danger"), "style")


def check_teams(problems, message):
    """A message with one Adaptive Card 1.4, as the Workflows app takes it."""
    problems.check(message.get("type") == "message", "type")
    problems.check(len(message.get("attachments", [])) == 1, "attachments")
    attachment = message["attachments"][0]
    problems.check(attachment["contentType"] == "application/vnd.microsoft.card.adaptive",
                   "contentType")
    card = attachment["content"]
    problems.check(card["type"] == "AdaptiveCard" and card["version"] == "1.4", "card")
    problems.check(len(json.dumps(message).encode()) <= 28 * 1024, "larger than 28 KB")
    for element in card["body"]:
        problems.check(element["type"] in ("TextBlock", "FactSet", "RichTextBlock"),
                       f"element {element['type']}")
        for fact in element.get("facts", []):
            problems.check(set(fact) == {"title", "value"}, "fact")
    for action in card.get("actions", []):
        problems.check(action["type"] == "Action.OpenUrl" and action["url"].startswith("https://"),
                       "action that is not a link")


def check_webhook(problems, headers, body, secret):
    """Standard Webhooks 1.0."""
    message_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    problems.check(sent.isdigit() and abs(int(sent or 0) - time.time()) < 300, "timestamp")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{message_id}.{sent}.".encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(signed).decode()
    problems.check(expected in headers.get("webhook-signature", "").split(" "), "signature")
    message = json.loads(body)
    problems.check(message["id"] == message_id, "the id in the body is another")
    problems.check(message["event"] in ("approval", "decision", "break-glass"), "event")


# --- HTTP ----------------------------------------------------------------------------------------

class HttpReceiver:
    """kind: "webhook", "slack", "teams". `plan` says how to answer one request after the other:
    a status, "reset", "hang" or "lost" (taken, but the answer does not arrive); then `always`."""

    def __init__(self, kind, secret="", authority=None, hang_seconds=30):
        self.kind, self.secret = kind, secret
        self.plan, self.always = [], 200
        self.problems, self.taken, self.attempts = Problems(), [], []
        self.headers = {}
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.hang_seconds = hang_seconds
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver.serve(self)

            def do_GET(self):
                receiver.problems.append("a GET: a redirect was followed")
                self.send_error(404)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        scheme = "http"
        if authority:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*authority)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}/services/T0/B0/hidden-path"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self.lock:
            how = self.plan.pop(0) if self.plan else self.always
            self.attempts.append((time.monotonic(), how))
        if how == "hang":
            self.ended.wait(self.hang_seconds)
            handler.close_connection = True
            return
        if how == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            handler.close_connection = True
            return
        if how in (200, "lost"):
            self.take(handler, body)
        if how == "lost":
            handler.close_connection = True
            return
        handler.send_response(how)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    def take(self, handler, body):
        problems = Problems()
        problems.check(handler.headers.get("Content-Type") == "application/json", "content type")
        try:
            message = json.loads(body.decode("utf-8"))
            if self.kind == "slack":
                check_slack(problems, message)
            elif self.kind == "teams":
                check_teams(problems, message)
            else:
                check_webhook(problems, handler.headers, body, self.secret)
        except (ValueError, KeyError, TypeError) as error:
            problems.append(f"{type(error).__name__}: {error}")
            message = None
        with self.lock:
            self.problems.extend(problems)
            self.taken.append(message)

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()


# --- SMTP ----------------------------------------------------------------------------------------

class SmtpReceiver:
    """A relay: EHLO, STARTTLS (with `authority`: certificate and key), AUTH PLAIN, MAIL, RCPT, DATA.
    `plan` as above, with codes such as 451 at the end of DATA."""

    def __init__(self, authority=None, user=None, password=None):
        self.user, self.password, self.authority = user, password, authority
        self.plan, self.taken, self.problems = [], [], Problems()
        self.lock = threading.Lock()
        receiver = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                receiver.serve(self)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"smtp://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, handler):
        state = {"tls": False, "auth": self.user is None, "from": None, "to": []}
        reader, connection = handler.rfile, handler.connection

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        say("220 relay.example ESMTP")
        while True:
            line = reader.readline(2000)
            if not line.endswith(b"\r\n"):
                return
            word = line.strip().decode("ascii", "replace")
            verb = word.split(" ")[0].upper()
            if verb == "EHLO":
                say("250-relay.example")
                if self.authority and not state["tls"]:
                    say("250-STARTTLS")
                if self.user:
                    say("250-AUTH PLAIN")
                say("250 8BITMIME")
            elif verb == "STARTTLS":
                say("220 go")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.authority)
                connection = context.wrap_socket(connection, server_side=True)
                reader = connection.makefile("rb")
                state["tls"] = True
            elif verb == "AUTH":
                given = word.split(" ")[2] if word.count(" ") > 1 else None
                if given is None:
                    say("334 ")
                    given = reader.readline(2000).strip().decode()
                expected = base64.b64encode(f"\0{self.user}\0{self.password}".encode()).decode()
                self.problems.check(state["tls"] or not self.authority, "a password in clear")
                state["auth"] = given == expected
                say("235 ok" if state["auth"] else "535 no")
            elif verb == "MAIL":
                self.problems.check(state["tls"] or not self.authority, "a message in clear")
                state["from"] = word
                say("250 ok" if state["auth"] else "530 log in")
            elif verb == "RCPT":
                state["to"].append(re.search(r"<(.*)>", word).group(1))
                say("250 ok")
            elif verb == "DATA":
                say("354 go")
                lines = []
                while (line := reader.readline(10000)) not in (b".\r\n", b""):
                    self.problems.check(line.endswith(b"\r\n") and len(line) <= 1000, "line of data")
                    lines.append(line[1:] if line.startswith(b"..") else line)
                with self.lock:
                    how = self.plan.pop(0) if self.plan else 250
                if how == "reset":
                    return
                if how == 250:
                    self.take(state, b"".join(lines))
                say(f"{how} said")
                state["from"], state["to"] = None, []
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok" if verb in ("NOOP", "RSET") else "502 what")

    def take(self, state, data):
        message = email.message_from_bytes(data, policy=email.policy.default)
        problems = Problems()
        for name in ("Date", "From", "To", "Subject", "Message-ID", "MIME-Version"):
            problems.check(len(message.get_all(name, [])) == 1, f"header {name}")
        problems.check(not message.defects, f"defects {message.defects}")
        problems.check(message.get_content_type() == "text/plain", "content type")
        with self.lock:
            self.problems.extend(problems)
            self.taken.append({"message": message, "to": state["to"]})

    def close(self):
        self.server.shutdown()
        self.server.server_close()
