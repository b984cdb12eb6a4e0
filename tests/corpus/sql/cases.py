"""Case files: headers, steps, and how they are found. README.md describes the format."""
import os
import re


class Case:
    """One case. `kind` is its folder's name, `body` what follows the headers."""

    def __init__(self, path):
        self.path = path
        self.kind = os.path.basename(os.path.dirname(path))
        self.file = os.path.basename(path)
        self.name = self.kind + "/" + self.file
        with open(path, newline="", encoding="utf-8") as f:
            text = f.read()
        self.py = path.endswith(".py")
        mark = "# " if self.py else "-- "
        self.h = {}
        lines = text.split("\n")
        i = 0
        for i, l in enumerate(lines):
            m = re.match(re.escape(mark) + r"([a-z_]+):\s*(.*)$", l.rstrip("\r"))
            if not m:
                break
            self.h.setdefault(m.group(1), []).append(m.group(2))
        self.body = "\n".join(lines[i:]).lstrip("\n")

    def get(self, k, d=None):
        return self.h[k][0] if k in self.h else d

    def all(self, k):
        return self.h.get(k, [])

    @property
    def expect(self):
        return self.get("expect", "EITHER").split()[0]

    @property
    def targets(self):
        return [t.strip() for t in self.get("targets", "").split(",") if t.strip()]

    @property
    def mutates(self):
        return self.get("mutates", "no") == "yes"

    def steps(self):
        """list of (verb, args, text)"""
        out, verb, args, buf = [], "send", "", []
        # lines may end in \r only inside the statement text; split on \n alone

        def flush():
            t = "\n".join(buf)
            if self.get("escapes") == "yes":
                t = re.sub(rb"\\x([0-9a-fA-F]{2})", lambda m: bytes([int(m.group(1), 16)]), t.encode())
            if (t.strip() if isinstance(t, str) else t.strip()) or verb in ("drain", "sleep", "close"):
                if verb == "send" and self.get("mode") == "each":
                    for s in re.split(r";[ \t]*(?:\n|$)", t if isinstance(t, str) else t.decode()):
                        if s.strip():
                            out.append((verb, args, s.strip() + ";"))
                else:
                    out.append((verb, args, t.strip("\n") if isinstance(t, str) else t.strip(b"\n")))
        for l in self.body.split("\n"):
            m = re.match(r"-- @(\w+)[ \t]*(.*)$", l)
            if m:
                flush()
                verb, args, buf = m.group(1), m.group(2).strip(), []
            else:
                buf.append(l)
        flush()
        return out


def load_cases(root, kinds):
    """The cases in root/kind/ for each kind, by their numbers."""
    out = []
    for k in kinds:
        d = os.path.join(root, k)
        if os.path.isdir(d):
            for f in sorted(os.listdir(d)):
                if re.match(r"\d{3}-.*\.(sql|py)$", f):
                    out.append(Case(os.path.join(d, f)))
    return out
