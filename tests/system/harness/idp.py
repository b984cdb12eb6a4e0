"""A real OpenID Connect provider: npm's oidc-provider, run by node."""
import json
import subprocess

import requests

from . import machine


class IdentityProvider:
    """`issuer` is its URL; token() gets an access token by the client-credentials grant."""

    clients = {"deploy-agent": ["deploy-agents"], "reader-agent": ["readers"], "lonely-agent": []}
    secret = "test-secret"

    def __init__(self, log_path):
        self._log = open(log_path, "ab")
        self._process = subprocess.Popen(
            ["node", machine.ROOT / "tests/system/oidc/provider.mjs"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._log)
        line = self._process.stdout.readline()
        assert line, f"the identity provider did not start; see {log_path}"
        self.issuer = f"http://127.0.0.1:{json.loads(line)['port']}"

    def token(self, client="deploy-agent"):
        answer = requests.post(f"{self.issuer}/token", timeout=10, data={
            "grant_type": "client_credentials", "client_id": client, "client_secret": self.secret})
        answer.raise_for_status()
        return answer.json()["access_token"]

    def rotate(self, keep):
        """Signs with a new key from now on; the others stay published if `keep`."""
        requests.post(f"{self.issuer}/test/rotate", params={"keep": int(keep)},
                      timeout=10).raise_for_status()

    def stall(self, milliseconds):
        """Answers discovery and keys late."""
        requests.post(f"{self.issuer}/test/stall", params={"ms": milliseconds},
                      timeout=10).raise_for_status()

    def counts(self):
        """How often "discovery", "keys" and "tokens" were asked for."""
        return requests.get(f"{self.issuer}/test/counts", timeout=10).json()

    def console(self, url):
        """Knows the console at this URL as a client; for the gateway's `console.login`."""
        requests.post(f"{self.issuer}/test/console", params={"redirect": f"{url}/login/callback"},
                      timeout=10).raise_for_status()
        return {"issuer": "idp", "client_id": "bulkhead-console",
                "client_secret": {"env": "CONSOLE_SECRET"}}

    def account(self, subject, groups=(), **claims):
        """Who logs in from now on, without being asked."""
        requests.post(f"{self.issuer}/test/account", json={
            "sub": subject, "groups": list(groups), "name": subject.title(),
            "email": f"{subject}@example.com", **claims}, timeout=10).raise_for_status()

    def configuration(self, name="idp", **changes):
        """For the gateway's `issuers`."""
        return {"name": name, "issuer": self.issuer, "audience": "bulkhead",
                "groups_claim": "groups", **changes}

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
        self._log.close()
