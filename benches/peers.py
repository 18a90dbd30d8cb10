"""Compares flow with ninja, make, DVC and the bare cost of starting processes, in one run.

    cargo build --release
    pip install ninja dvc                 # make, xargs and time come with the system
    python3 benches/peers.py              # --help has what can be left out

Shapes, all of `sh` scripts that copy a line or two:

- fan:   prep(root) -> N x work(prep, leaf i) -> merge of all
- chain: N x first(leaf i) -> N x second(first i) -> N x third(second i), item by item -> merge
- deep:  one stage after the other, N of them
- big:   one stage that reads a file of --size bytes (N is not used)

Scenarios: cold; no-op; plan (`flow plan` of a no-op); touch (the times of an input change); edit (a leaf
changes); revert (it is again what it was); comment (an input changes, but not what the first script makes of it).
A row gives user + system CPU seconds of the whole process tree, elapsed seconds, how many scripts ran (each
appends a byte to a file), and for no-op and plan the largest resident set of one process in MiB. `xargs` starts the same scripts and
nothing else, by way of `sh -c` as make and ninja can: the floor; `exec` is xargs without that `sh -c`. Prints one JSON object a row, then a Markdown table; fails where flow ran other scripts
than those that had to run.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# `sh st.sh OUT IN...` writes the last line of each IN to OUT. It uses only built-in commands, so that a step costs one process.
SCRIPT = """out=$1; shift
[ -z "$COUNT" ] || printf x >> "$COUNT"
for f do last=; while read -r line; do case $line in '#'*) ;; *) last=$line;; esac; done < "$f"; printf '%s\\n' "$last"; done > "$out"
"""
# The same for a list of files.
MERGE = """out=$1
[ -z "$COUNT" ] || printf x >> "$COUNT"
while read -r f; do read -r line < "$f"; printf '%s\\n' "$line"; done < "$2" > "$out"
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Project:
    """A folder with the inputs of one shape, and how to run it."""

    def __init__(self, folder, shape, n, size):
        self.folder, self.shape, self.n, self.size = folder, shape, n, size
        write(folder / "st.sh", SCRIPT)
        write(folder / "merge.sh", MERGE)
        write(folder / "root.txt", "# first\nroot\n")
        if shape in ("fan", "chain"):
            for i in range(n):
                write(folder / f"leaf/{i}.txt", f"leaf {i}\n")
        if shape == "big":
            with open(folder / "root.txt", "wb") as file:
                block = os.urandom(1 << 20)
                for _ in range(size >> 20):
                    file.write(block)

    def steps(self):
        """(output, script, inputs) in order; the same for every tool but flow."""
        n, st = self.n, "st.sh"
        if self.shape == "fan":
            yield "out/prep", st, ["root.txt"]
            for i in range(n):
                yield f"out/w{i}", st, ["out/prep", f"leaf/{i}.txt"]
            yield "out/merge", "merge.sh", [f"out/w{i}" for i in range(n)]
        elif self.shape == "chain":
            for i in range(n):
                yield f"out/a{i}", st, [f"leaf/{i}.txt"]
                yield f"out/b{i}", st, [f"out/a{i}"]
                yield f"out/c{i}", st, [f"out/b{i}"]
            yield "out/merge", "merge.sh", [f"out/c{i}" for i in range(n)]
        elif self.shape == "deep":
            for i in range(n):
                yield f"out/d{i}", st, [f"out/d{i - 1}" if i else "root.txt"]
        else:
            yield "out/big", "big.sh", ["root.txt"]

    def command(self, out, script, inputs):
        if script == "merge.sh":
            return f"sh merge.sh {out} merge.list"
        if script == "big.sh":
            return f"sh big.sh {out} {inputs[0]}"
        return f"sh {script} {out} {' '.join(inputs)}"

    def prepare(self):
        (self.folder / "out").mkdir(exist_ok=True)
        steps = list(self.steps())
        write(self.folder / "big.sh", '[ -z "$COUNT" ] || printf x >> "$COUNT"\nwc -c < "$2" > "$1"\n')
        if steps[-1][1] == "merge.sh":
            write(self.folder / "merge.list", "".join(f"{f}\n" for f in steps[-1][2]))
        return steps


# The tools that are compared, and the program of each.
PROGRAMS = {"xargs": "xargs", "exec": "xargs", "make": "make", "ninja": "ninja", "dvc": "dvc", "flow": "flow"}


class Tool:
    """How a tool describes and runs a project."""

    def __init__(self, name, program):
        self.name, self.program = name, program

    def setup(self, project):
        """Writes the tool's description of the project. Gives the number of steps."""
        steps = project.prepare()
        folder = project.folder
        if self.name == "make":
            text = "all: " + steps[-1][0] + "\n"
            for out, script, inputs in steps:
                text += f"{out}: {script} {' '.join(inputs)}\n\t@{project.command(out, script, inputs)}\n"
            write(folder / "Makefile", text)
        elif self.name == "ninja":
            text = "rule r\n  command = $cmd\n"
            for out, script, inputs in steps:
                text += f"build {out}: r {script} {' '.join(inputs)}\n  cmd = {project.command(out, script, inputs)}\n"
            write(folder / "build.ninja", text)
        elif self.name == "dvc":
            text = "stages:\n"
            for k, (out, script, inputs) in enumerate(steps):
                deps = "".join(f"      - {d}\n" for d in [script, *inputs])
                text += f"  s{k}:\n    cmd: {project.command(out, script, inputs)}\n    deps:\n{deps}    outs:\n      - {out}\n"
            write(folder / "dvc.yaml", text)
            run = lambda *a: subprocess.run([self.program, *a], cwd=folder, check=True, capture_output=True)
            run("init", "--no-scm", "-q")
            run("config", "core.analytics", "false")
        elif self.name == "flow":
            (folder / "flow.toml").touch()
            write(folder / "pipeline.toml", flow_pipeline(project))
        return len(steps)

    def argv(self, project):
        steps = project.steps()
        if self.name == "make":
            return [self.program, "-s", "-j2"]
        if self.name == "ninja":
            return [self.program, "-j2", "--quiet"]
        if self.name == "dvc":
            return [self.program, "repro", "-q"]
        if self.name == "flow":
            return [self.program, "run", "pipeline.toml", "--jobs", "2", "-q"]
        # Goes level by level. Within a level it waits only for the number of processes.
        level = lambda step: step[0].rstrip("0123456789")
        commands = [project.command(*step) for step in sorted(steps, key=level if project.shape == "chain" else lambda _: "")]
        if self.name == "exec":
            commands = [command.removeprefix("sh ") for command in commands]
        write(project.folder / "commands", "".join(f"{command}\n" for command in commands))
        start = ["-L1", "/bin/sh"] if self.name == "exec" else ["-d", "\n", "-I{}", "/bin/sh", "-c", "{}"]
        return [self.program, "-P2", "-a", "commands", *start]


def flow_pipeline(project):
    stage = lambda name, rest: f"[stages.{name}]\nuse = \"command\"\nenv = {{ COUNT = \"{project.folder}.count\" }}\n{rest}\n"
    n, items = project.n, f"each = {{ i = {{ range = [0, {project.n}] }} }}"
    if project.shape == "big":
        return stage("big", 'run = ["sh", "big.sh", "{out}", "root.txt"]\nfiles = ["big.sh", "root.txt"]\noutputs = { out = "out" }') + \
            '[outputs]\n"out/big.txt" = "big"\n'
    if project.shape == "deep":
        text = ""
        for i in range(n):
            source = f'"{{before}}"]\ninputs = {{ before = "d{i - 1}" }}\nfiles = ["st.sh"]' if i else '"root.txt"]\nfiles = ["st.sh", "root.txt"]'
            text += stage(f"d{i}", f'run = ["sh", "st.sh", "{{out}}", {source}\noutputs = {{ out = "out" }}')
        return text + f'[outputs]\n"out/last.txt" = "d{n - 1}"\n'
    merge = stage("merge", 'run = ["sh", "merge.sh", "{out}", "{w.list}"]\nfiles = ["merge.sh"]\ninputs = { w = "%s" }\noutputs = { out = "out" }')
    out = '[outputs]\n"out/merge.txt" = "merge"\n'
    if project.shape == "fan":
        prep = stage("prep", 'run = ["sh", "st.sh", "{out}", "root.txt"]\nfiles = ["st.sh", "root.txt"]\noutputs = { out = "out" }')
        work = stage("w", 'run = ["sh", "st.sh", "{out}", "{prep}", "leaf/{i}.txt"]\nfiles = ["st.sh", "leaf/{i}.txt"]\n'
                          f'inputs = {{ prep = "prep" }}\noutputs = {{ out = "out" }}\n{items}')
        return prep + work + merge % "w" + out
    first = stage("a", 'run = ["sh", "st.sh", "{out}", "leaf/{i}.txt"]\nfiles = ["st.sh", "leaf/{i}.txt"]\n'
                       f'outputs = {{ out = "out" }}\n{items}')
    follow = lambda name, before: stage(name, f'run = ["sh", "st.sh", "{{out}}", "{{{before}}}"]\nfiles = ["st.sh"]\n'
                                              f'inputs = {{ {before} = "{before}" }}\noutputs = {{ out = "out" }}\neach = "{before}"')
    return first + follow("b", "a") + follow("c", "b") + merge % "c" + out


def measure(argv, project):
    """CPU, wall, peak memory and scripts run of one invocation."""
    count = Path(f"{project.folder}.count")
    count.write_bytes(b"")
    env = {**os.environ, "COUNT": str(count)}
    started = time.monotonic()
    child = subprocess.Popen(argv, cwd=project.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    err = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        sys.exit(f"{argv[0]} failed with {code}: {err.decode()[-2000:]}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "ran": count.stat().st_size}


def peak(argv, project):
    """The largest resident set of one process in MiB. What is started from here counts Python's own; GNU time's is small."""
    if not shutil.which("time"):
        return float("nan")
    told = subprocess.run([shutil.which("time"), "-f", "%M", *argv], cwd=project.folder, capture_output=True, text=True, check=True)
    return int(told.stderr.split()[-1]) / 1024


def median(rows):
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def changes(project):
    """The scenarios after the first run: a name, what is changed, and the scripts that then have to run."""
    folder, shape = project.folder, project.shape
    root, leaf = folder / "root.txt", folder / "leaf/0.txt"
    touched = root if shape in ("fan", "big") else leaf if shape == "chain" else root
    yield "touch", lambda: os.utime(touched), 0
    if shape == "fan":
        yield "edit", lambda: write(leaf, "another\n"), 2
        yield "revert", lambda: write(leaf, "leaf 0\n"), 0
        yield "comment", lambda: write(root, "# second\nroot\n"), 1
    if shape == "chain":
        yield "edit", lambda: write(leaf, "another\n"), 4
        yield "revert", lambda: write(leaf, "leaf 0\n"), 0
        yield "comment", lambda: write(leaf, "# second\nleaf 0\n"), 1


def after_no_op(tool, project, repeats):
    """What comes after runs in which nothing changed: plans, then changes."""
    argv = tool.argv(project)
    if tool.name == "flow":
        plan = [argv[0], "plan", "pipeline.toml", "-q"]
        yield "plan", median([measure(plan, project) for _ in range(repeats)]) | {"rss_mib": peak(plan, project)}, 0
    for scenario, change, expected in changes(project):
        # make and ninja look at times, so the new time must be later.
        time.sleep(1.1)
        change()
        yield scenario, measure(argv, project), expected


def machine():
    """The machine and its load, in one line."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return f"{os.cpu_count()} CPUs, {model.group(1) if model else platform.machine()}, Linux {platform.release()}, load {load}"


def version(program):
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return told.stdout.splitlines()[0] if told.stdout else "?"


def table(rows):
    """One line for each tool: CPU seconds, memory of a no-op, and how many scripts ran."""
    cases = {}
    for row in rows:
        cases.setdefault((row["shape"], row["n"], row["tool"]), {})[row["scenario"]] = row
    ran = ["touch", "edit", "revert", "comment"]
    print("\n| shape | N | tool | cold CPU s | / xargs | no-op CPU s | no-op RSS MiB | plan CPU s | ran: cold | " + " | ".join(ran) + " |")
    print("|---" * (9 + len(ran)) + "|")
    for (shape, n, tool), case in cases.items():
        cell = lambda scenario, key, form: format(case[scenario][key], form) if scenario in case else ""
        floor = cases.get((shape, n, "xargs"), {}).get("cold")
        ratio = f"{case['cold']['cpu'] / floor['cpu']:.2f}" if floor else ""
        cells = [shape, n, tool, cell("cold", "cpu", ".3f"), ratio, cell("no-op", "cpu", ".4f"), cell("no-op", "rss_mib", ".0f"),
                 cell("plan", "cpu", ".4f"), cell("cold", "ran", ".0f"), *(cell(name, "ran", ".0f") for name in ran)]
        print("| " + " | ".join(map(str, cells)) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flow", default="target/release/flow")
    parser.add_argument("--shape", nargs="+", default=["fan", "chain"], choices=["fan", "chain", "deep", "big"])
    parser.add_argument("--n", nargs="+", type=int, default=[10, 100, 1000, 10000])
    parser.add_argument("--size", type=int, default=1 << 30, help="bytes of the input of shape big")
    parser.add_argument("--tools", nargs="+", choices=list(PROGRAMS), default=list(PROGRAMS))
    parser.add_argument("--cold", type=int, default=3, help="first runs, of which the median counts; one where N is 10000 or more")
    parser.add_argument("--noop", type=int, default=11, help="runs in which nothing changed, of which the median counts")
    parser.add_argument("--dvc-max", type=int, default=100, help="DVC's cold runs grow with the square of N")
    parser.add_argument("--settle", type=float, default=65, help="seconds from the last project written to the first run")
    parser.add_argument("--folder", help="where to work [default: a temporary folder]")
    args = parser.parse_args()
    programs = {name: os.path.abspath(args.flow) if name == "flow" else shutil.which(PROGRAMS[name]) for name in args.tools}
    for name in [name for name, program in programs.items() if program is None]:
        print(f"skipped: {name} is not installed", file=sys.stderr)
        del programs[name]
    print(json.dumps({"machine": machine(), **{name: version(program) for name, program in programs.items()}}), flush=True)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        rows, wrong = run(args, programs, Path(folder))
    print(f"\n{machine()}")
    table(rows)
    sys.exit("\n".join(wrong) or 0)


def prepared(args, programs, folder):
    """For every shape and N: the tools, with a project for each cold run and how many scripts that takes."""
    cases = [(n, shape) for n in sorted(args.n) for shape in args.shape if shape != "big"]
    if "big" in args.shape:
        cases.append((1, "big"))
    for n, shape in cases:
        tools = [Tool(*known) for known in programs.items() if known[0] != "dvc" or n <= args.dvc_max]
        turns = args.cold if n < 10_000 else 1
        projects, actions = {}, 0
        for tool in tools:
            projects[tool.name] = [
                Project(folder / f"{shape}-{n}-{tool.name}-{turn}" / "p", shape, n, args.size) for turn in range(turns)
            ]
            for project in projects[tool.name]:
                actions = tool.setup(project)
        yield shape, n, tools, projects, actions


def run(args, programs, folder):
    """All figures, and what was not as it had to be."""
    rows, wrong = [], []
    todo = list(prepared(args, programs, folder))
    # No tool should pay for what was written here, or meet files that have only just been made. For a minute after
    # files were removed, ext4 without a journal makes new files slowly.
    os.sync()
    time.sleep(args.settle)
    for shape, n, tools, projects, actions in todo:
        # The tools run by turns, so that other work of the machine affects all of them alike.
        cold, no_op = {tool.name: [] for tool in tools}, {tool.name: [] for tool in tools if tool.name not in ("xargs", "exec")}
        for turn in range(len(projects[tools[0].name])):
            for tool in tools:
                project = projects[tool.name][turn]
                cold[tool.name].append(measure(tool.argv(project), project))
        for _ in range(args.noop):
            for tool in tools:
                if tool.name in no_op:
                    project = projects[tool.name][-1]
                    no_op[tool.name].append(measure(tool.argv(project), project))
        for tool in tools:
            project = projects[tool.name][-1]
            found = [("cold", median(cold[tool.name]), actions)]
            if tool.name in no_op:
                figures = median(no_op[tool.name]) | {"rss_mib": peak(tool.argv(project), project)}
                found += [("no-op", figures, 0), *after_no_op(tool, project, args.noop)]
            for scenario, figures, expected in found:
                row = {"shape": shape, "n": n, "tool": tool.name, "scenario": scenario, **figures}
                print(json.dumps(row), flush=True)
                rows.append(row)
                if tool.name == "flow" and figures["ran"] != expected:
                    wrong.append(f"{shape} {n} {scenario}: {figures['ran']:.0f} scripts ran, not {expected}")
    return rows, wrong


if __name__ == "__main__":
    main()
