"""Compares flow with ninja, make, DVC and the bare cost of starting processes, in one run.

    cargo build --release
    pip install ninja dvc                 # make and xargs come with the system
    python3 benches/peers.py --flow target/release/flow --shape fan --n 10 100 1000

Shapes, all of `sh` scripts that copy a line or two:

- fan:   prep(root) -> N x work(prep, leaf i) -> merge of all
- chain: N x first(leaf i) -> N x second(first i) -> N x third(second i), item by item -> merge
- deep:  one stage after the other, N of them
- big:   one stage that reads a file of --size bytes (N is not used)

Scenarios: cold; no-op (median of three); touch (the root's times change); edit (one leaf changes);
comment (the root changes, what prep makes of it does not). A row gives user + system CPU seconds of the whole
process tree, elapsed seconds, the largest resident set of one process in MiB, and how many scripts ran
(each appends a byte to a file). `xargs` starts the same scripts and nothing else: the floor.
Prints one JSON object a row, then a Markdown table.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# `sh st.sh OUT IN...`: OUT gets the last line of each IN. Built-in commands only, so that a step costs one process.
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


class Tool:
    """How a tool describes and runs a project."""

    def __init__(self, name, program):
        self.name, self.program = name, program

    def setup(self, project):
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
        write(project.folder / "commands", "\n".join(project.command(*s) for s in steps) + "\n")
        return ["xargs", "-P2", "-d", "\n", "-n1", "-a", "commands", "sh", "-c", 'eval "$0"']


def flow_pipeline(project):
    stage = lambda name, rest: f"[stages.{name}]\nuse = \"command\"\nenv = {{ COUNT = \"{project.folder}.count\" }}\n{rest}\n"
    n, items = project.n, f"each = {{ i = {{ range = [0, {project.n}] }} }}"
    if project.shape == "big":
        return stage("big", 'run = ["sh", "big.sh", "{out}", "root.txt"]\nfiles = ["big.sh", "root.txt"]\noutputs = { out = "out" }') + \
            '[outputs]\n"out/big" = "big"\n'
    if project.shape == "deep":
        text = ""
        for i in range(n):
            source = f'"{{before}}"]\ninputs = {{ before = "d{i - 1}" }}\nfiles = ["st.sh"]' if i else '"root.txt"]\nfiles = ["st.sh", "root.txt"]'
            text += stage(f"d{i}", f'run = ["sh", "st.sh", "{{out}}", {source}\noutputs = {{ out = "out" }}')
        return text + f'[outputs]\n"out/last" = "d{n - 1}"\n'
    merge = stage("merge", 'run = ["sh", "merge.sh", "{out}", "{w.list}"]\nfiles = ["merge.sh"]\ninputs = { w = "%s" }\noutputs = { out = "out" }')
    out = '[outputs]\n"out/merge" = "merge"\n'
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


def measure(tool, project):
    """CPU, wall, peak memory and scripts run of one invocation."""
    count = Path(f"{project.folder}.count")
    count.write_bytes(b"")
    env = {**os.environ, "COUNT": str(count)}
    started = time.monotonic()
    child = subprocess.Popen(tool.argv(project), cwd=project.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    err = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        sys.exit(f"{tool.name} failed with {code}: {err.decode()[-2000:]}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "rss_mib": usage.ru_maxrss / 1024, "ran": count.stat().st_size}


def scenarios(tool, project):
    folder = project.folder
    yield "cold", measure(tool, project)
    if tool.name == "xargs":
        return
    repeats = [measure(tool, project) for _ in range(3)]
    yield "no-op", {key: statistics.median(r[key] for r in repeats) for key in repeats[0]}
    time.sleep(1.1)
    os.utime(folder / "root.txt")
    yield "touch", measure(tool, project)
    if project.shape in ("fan", "chain"):
        time.sleep(1.1)
        write(folder / "leaf/0.txt", "another\n")
        yield "edit", measure(tool, project)
    if project.shape == "fan":
        time.sleep(1.1)
        write(folder / "root.txt", "# second\nroot\n")
        yield "comment", measure(tool, project)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flow", default="target/release/flow")
    parser.add_argument("--shape", nargs="+", default=["fan"], choices=["fan", "chain", "deep", "big"])
    parser.add_argument("--n", nargs="+", type=int, default=[10, 100, 1000])
    parser.add_argument("--size", type=int, default=1 << 30, help="bytes of the input of shape big")
    parser.add_argument("--tools", nargs="+", default=["xargs", "make", "ninja", "dvc", "flow"])
    parser.add_argument("--dvc-max", type=int, default=100, help="DVC's cold runs grow with the square of N")
    parser.add_argument("--folder", help="where to work [default: a temporary folder]")
    args = parser.parse_args()
    rows = []
    for shape in args.shape:
        for n in args.n if shape != "big" else [1]:
            for name in args.tools:
                program = os.path.abspath(args.flow) if name == "flow" else shutil.which(name)
                if program is None or (name == "dvc" and n > args.dvc_max):
                    print(f"skipped: {name} at {shape} {n}", file=sys.stderr)
                    continue
                with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                    project = Project(Path(folder) / "p", shape, n, args.size)
                    tool = Tool(name, program)
                    tool.setup(project)
                    for scenario, figures in scenarios(tool, project):
                        row = {"shape": shape, "n": n, "tool": name, "scenario": scenario, **figures}
                        print(json.dumps(row), flush=True)
                        rows.append(row)
    print("\n| shape | N | tool | scenario | CPU s | wall s | RSS MiB | ran |\n|---|---|---|---|---|---|---|---|")
    for r in rows:
        print(f"| {r['shape']} | {r['n']} | {r['tool']} | {r['scenario']} | {r['cpu']:.3f} | {r['wall']:.3f} | {r['rss_mib']:.0f} | {r['ran']:.0f} |")


if __name__ == "__main__":
    main()
