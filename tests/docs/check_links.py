#!/usr/bin/python3
"""Checks that every relative link and every link to a heading in the documents resolves.

usage: tests/docs/check_links.py [ROOT]; exits with 1 and says which do not.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
if len(sys.argv) < 2:
    ROOT = ROOT.parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SKIPPED = {"node_modules", ".git"}


def documents():
    for path in sorted(ROOT.rglob("*.md")):
        parts = path.relative_to(ROOT).parts
        if not any(p in SKIPPED or p.startswith(("build", "obj-")) for p in parts[:-1]):
            yield path


def prose(path):
    """The lines with their numbers, without code."""
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, re.sub(r"`[^`]*`", lambda m: "`" + "x" * (len(m[0]) - 2) + "`", line)


def anchors(path):
    """Headings as GitHub names them."""
    found, fenced = set(), False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        heading = None if fenced else re.match(r"#{1,6}\s+(.*?)\s*#*$", line)
        if heading:
            text = re.sub(r"[^\w\- ]", "", heading[1].lower().replace("`", ""))
            found.add(text.replace(" ", "-"))
    return found


def problem(path, target):
    file, _, anchor = target.partition("#")
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None
    where = (path.parent / file).resolve() if file else path
    if not where.exists():
        return f"{target} is not there"
    if anchor and where.suffix == ".md" and anchor not in anchors(where):
        return f"{target}: there is no such heading"
    return None


def main():
    broken = 0
    for path in documents():
        for number, line in prose(path):
            for target in LINK.findall(line):
                text = problem(path, target)
                if text:
                    print(f"{path.relative_to(ROOT)}:{number}: {text}")
                    broken += 1
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
