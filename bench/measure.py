"""What processes cost, read from /proc; medians."""
import os
import statistics

TICKS = os.sysconf("SC_CLK_TCK")


def median(values):
    return statistics.median(values) if values else float("nan")


def _stat(pid):
    """The fields of /proc/PID/stat from the state on."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        return f.read().rpartition(")")[2].split()


def tree(pid):
    """A process and its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(int(_stat(name)[1]), []).append(int(name))
            except OSError:
                pass
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pid):
    """User and system time of the tree, with that of its descendants that have ended."""
    total = 0
    for p in tree(pid):
        try:
            total += sum(int(x) for x in _stat(p)[11:15])
        except OSError:
            pass
    return total / TICKS


def _rollup(pid):
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        for line in f.readlines()[1:]:
            key, value = line.split(":")
            sizes[key] = int(value.split()[0])
    return sizes


def unique_kib(pid):
    """Memory that would come back if this process alone ended (USS)."""
    sizes = _rollup(pid)
    return sizes["Private_Clean"] + sizes["Private_Dirty"]


def share_kib(pid):
    """The memory of the tree, each shared page counted once (PSS)."""
    total = 0
    for p in tree(pid):
        try:
            total += _rollup(p)["Pss"]
        except OSError:
            pass
    return total
