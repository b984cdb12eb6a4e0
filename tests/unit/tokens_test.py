"""Every numbered bad token of tests/system/tokens.py against the verification pipeline alone.

Usage: tokens_test.py VERIFY_TOKENS   (the program of verify_tokens.c)
"""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "system"))
import tokens  # noqa: E402

REST = """
state: {folder}/state
runtime: {folder}/run
ledger: {{directory: {folder}/ledger}}
listen: {{postgres: 127.0.0.1:5432}}
postgres: {{cleartext_on_loopback: true}}
resources:
  test: {{protocol: postgres, address: 127.0.0.1:5433, tls: off, credential: {{user: u}}}}
policies:
  - {{name: all, allow: [read]}}
"""


class Verifier:
    def __init__(self, program, config):
        self.process = subprocess.Popen(
            [program, config], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def verify(self, token):
        if isinstance(token, tokens.HugeToken):
            token = token.prefix(1 << 20)
        self.process.stdin.write(token.encode("latin-1").hex().encode() + b"\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().strip()

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def check(verifier, what, token, accepted):
    said = verifier.verify(token)
    right = said.startswith("accepted agent 1") if accepted else said.startswith("denied ")
    if not right:
        print(f"not ok {what}: {said or 'no answer'}")
    elif "-v" in sys.argv:
        print(f"ok {what}: {said}")
    return right


def main():
    good = True
    with tempfile.TemporaryDirectory() as folder, tokens.IssuerServer() as server:
        config = pathlib.Path(folder, "bulkhead.yaml")
        config.write_text(tokens.issuers_yaml(server.base_url) + REST.format(folder=folder))
        verifier = Verifier(sys.argv[1], config)
        forge = tokens.Forge(server, repeats=1000)
        for what, token in tokens.good_tokens(forge):
            good &= check(verifier, what, token, True)
        for number, (name, maker) in tokens.CASES.items():
            for token, accepted in maker(forge):
                good &= check(verifier, f"{number} {name}", token, accepted)
        good &= verifier.close() == 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
