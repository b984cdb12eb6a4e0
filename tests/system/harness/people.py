"""People who decide: each speaks the gateway's API with a token of their own."""
from . import machine
from .api import Api


class Person:
    """Somebody with a token of the local issuer. `groups` are what the rules' approvers are."""

    def __init__(self, gateway, subject, groups=("dba",), token=None):
        self.subject = subject
        self.token = token or gateway.token(subject, groups=groups)
        self.api = Api(gateway, self.token)

    def pending(self, count=1, **match):
        """Waits until at least `count` requests are pending that have these members; all of them."""
        def found():
            items = [r for r in self.api.get("/v1/approvals?state=pending&limit=200")["items"]
                     if all(r[key] == value for key, value in match.items())]
            return len(items) >= count and items
        return machine.until(found, f"{count} pending requests {match}")

    def request(self, **match):
        """Waits for exactly one pending request, in full."""
        items = self.pending(**match)
        assert len(items) == 1, items
        return self.api.get(f"/v1/approvals/{items[0]['id']}")

    def state(self, request):
        return self.api.get(f"/v1/approvals/{request}")["state"]

    def decide(self, request, how, reason=None, expect=200):
        """`how` is approve, deny or override; the answer's body."""
        body = {} if reason is None else {"reason": reason}
        return self.api.post(f"/v1/approvals/{request}/{how}", body, expect=expect)

    def approve(self, request, reason=None, expect=200):
        return self.decide(request, "approve", reason, expect)

    def deny(self, request, reason="not today", expect=200):
        return self.decide(request, "deny", reason, expect)
