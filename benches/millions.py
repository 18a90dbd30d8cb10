"""What a survey of very many objects costs: peak memory and CPU seconds of each step, each action in a process of its own.

    python3 benches/millions.py FLOW FOLDER 100000 300000 1000000

The survey is generated: four observations an object, 10,000 objects a file, and 2,000 labels however many objects there are.
"""

import json
import os
import random
import shutil
import subprocess
import sys

PIPELINE = """[pipeline]
name = "millions"
[stages.ingest]
use = "ingest"
format = "csv"
curves = "lightcurves_*.csv"
objects = "objects.csv"
bands = ["g", "r"]
positive = "TDE"
[stages.statistics]
use = "statistics"
inputs = { curves = "ingest" }
set = "basic"
[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
[stages.model]
use = "model"
inputs = { features = "statistics", folds = "folds" }
rounds = 50
[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }
[stages.submission]
use = "submission"
inputs = { predictions = "model", threshold = "evaluate.threshold" }
[stages.linear]
use = "model"
inputs = { features = "statistics", folds = "folds" }
learner = "logistic"
[stages.stack]
use = "stack"
inputs = { predictions = ["model", "linear"] }
[stages.calibrate]
use = "calibrate"
inputs = { predictions = "stack" }
[stages.threshold]
use = "threshold"
inputs = { predictions = "calibrate" }
prior = { TDE = 0.01 }
[stages.top]
use = "threshold"
inputs = { predictions = "stack" }
rule = "top_n"
budget = 1000
[stages.rank]
use = "stack"
inputs = { predictions = ["model", "linear"] }
method = "rank"
[stages.novelty]
use = "novelty"
inputs = { features = "statistics", folds = "folds", predictions = "model" }
rounds = 10
trees = 20
[outputs]
"out/submission.csv" = "submission"
"""
CLASSES = ["SN Ia", "SN II", "AGN", "TDE"]
PER_FILE = 10_000
LABELS = 2_000


def generate(folder, count):
    os.makedirs(folder)
    draw = random.Random(5)
    names = [f"{folder}/lightcurves_{i:04d}.csv" for i in range(max(1, count // PER_FILE))]
    files = [open(name, "w") for name in names]
    for file in files:
        file.write("object_id,mjd,band,flux,flux_err\n")
    with open(f"{folder}/objects.csv", "w") as objects:
        objects.write("object_id,label,redshift\n")
        for i in range(count):
            name, kind = f"{draw.getrandbits(59):018d}", draw.randrange(4)
            label = CLASSES[kind] if i % (count // LABELS) == 0 else ""
            objects.write(f"{name},{label},{draw.random():.4f}\n")
            for point in range(4):
                time, flux = 59000 + draw.random() * 300, draw.gauss(5 + 3 * kind, 3)
                error = 0.5 + draw.random()
                files[i % len(files)].write(f"{name},{time:.3f},{'gr'[point % 2]},{flux:.3f},{error:.3f}\n")
    for file in files:
        file.close()
    for name, text in [("p.toml", PIPELINE), ("flow.toml", "")]:
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)


def run(flow, folder):
    """Prints a line for each step."""
    shutil.rmtree(f"{folder}/.flow", ignore_errors=True)
    command = [flow, "run", "p.toml", "--executor", "process", "--jobs", "1", "--message-format", "json", "--quiet"]
    events = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    steps = {}
    for event in map(json.loads, events.splitlines()):
        if event["event"] == "action-finished":
            name = f"{event['stage']}: {event['action'].split()[0]}"
            step = steps.setdefault(name, {"actions": 0, "peak": 0, "cpu": 0.0})
            step["actions"] += 1
            step["peak"] = max(step["peak"], event["peak_rss"])
            step["cpu"] += event["cpu_s"]
    for name, step in steps.items():
        print(f"  {name:22} {step['actions']:6} actions {step['peak'] / 1e6:8.1f} MB {step['cpu']:9.2f} CPU s")
    files = sum(len(files) for _, _, files in os.walk(f"{folder}/.flow/store"))
    print(f"  {files} files in the store", flush=True)


def main():
    flow, home = os.path.abspath(sys.argv[1]), sys.argv[2]
    for count in map(int, sys.argv[3:]):
        folder = os.path.join(home, str(count))
        if not os.path.exists(folder):
            generate(folder, count)
        print(f"{count} objects")
        run(flow, folder)


main()
