#!/usr/bin/env python3
"""CPU seconds and memory of layers of networks in PyTorch and here, by turns in one run.

    cargo build --release -p flow-neural --features burn --example layers_cpu
    pip install torch
    python3 benches/networks_vs_pytorch.py            # --help has the sizes

A step is a batch forward and backward, without an optimizer: `gru` (64 units, 12 inputs, the maximum over all points),
`cnn` (four convolutions of three points from 5 to 32, 64, 128 and 128 channels, each followed by ReLU) and `cnn_norm`
(with batch normalization and pooling by two). Each turn is a process of its own, and its first step is not counted.
The figures are medians over turns of user + system CPU seconds a step, and the largest resident memory of a process in
MiB. Prints one JSON object a row, then a Markdown table. With `--most RATIO` it fails if ours takes more than that many
times the CPU seconds of PyTorch.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

LAYERS = ("gru", "cnn", "cnn_norm")
CHANNELS = (5, 32, 64, 128, 128)


def pytorch(layers, objects, points, steps):
    """Measures PyTorch in this process: CPU seconds a step, and MiB."""
    import resource
    import time

    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(1)
    if layers == "gru":
        model = torch.nn.GRU(12, 64, batch_first=True)
        x = torch.randn(objects, points, 12)
        loss = lambda: model(x)[0].max(1)[0].sum()
    else:
        parts = []
        for inputs, outputs in zip(CHANNELS, CHANNELS[1:]):
            parts.append(torch.nn.Conv1d(inputs, outputs, 3, padding=1, bias=False))
            if layers == "cnn_norm":
                parts.append(torch.nn.BatchNorm1d(outputs))
            parts.append(torch.nn.ReLU())
            if layers == "cnn_norm":
                parts.append(torch.nn.MaxPool1d(2))
        model = torch.nn.Sequential(*parts)
        x = torch.randn(objects, CHANNELS[0], points)
        loss = lambda: model(x).mean()
    for step in range(steps + 1):
        if step == 1:
            start = time.process_time()
        model.zero_grad()
        loss().backward()
    seconds = (time.process_time() - start) / steps
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(layers, f"{seconds:.5f}", memory, torch.__version__)


def turn(command, threads):
    """Runs one of the programs: CPU seconds a step, MiB, and what else it says."""
    threads = {name: str(threads) for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")}
    run = subprocess.run(command, env=os.environ | threads, check=True, capture_output=True, text=True)
    _, seconds, memory, *rest = run.stdout.split()
    return float(seconds), int(memory), rest


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--layers", nargs="+", choices=LAYERS, default=LAYERS)
    options.add_argument("--objects", type=int, default=64)
    options.add_argument("--points", type=int, default=160)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--most", type=float, metavar="RATIO")
    options.add_argument("--binary", type=os.path.abspath)
    options.add_argument("--pytorch", choices=LAYERS, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.pytorch:
        return pytorch(chosen.pytorch, chosen.objects, chosen.points, chosen.steps)
    root = Path(__file__).resolve().parents[1]
    ours = chosen.binary or root / "target/release/examples/layers_cpu"
    sizes = [f"--{name}={getattr(chosen, name)}" for name in ("objects", "points", "steps")]
    split = [part for size in sizes for part in size.split("=")]
    rows = []
    for layers in chosen.layers:
        turns = {"flow": [], "pytorch": []}
        for _ in range(chosen.turns):
            turns["flow"].append(turn([ours, layers, *split], chosen.threads))
            theirs = [sys.executable, __file__, "--pytorch", layers, *sizes]
            turns["pytorch"].append(turn(theirs, chosen.threads))
        row = {"layers": layers, "threads": chosen.threads, "version": turns["pytorch"][0][2][0]}
        for name, figures in turns.items():
            row[name] = statistics.median(seconds for seconds, *_ in figures)
            row[f"{name}_mib"] = max(memory for _, memory, _ in figures)
        row["ratio"] = round(row["flow"] / row["pytorch"], 2)
        rows.append(row)
        print(json.dumps(row), flush=True)
    print(f"\n{platform.machine()}, load {os.getloadavg()[0]:.1f}, PyTorch {rows[0]['version']}\n")
    print("| layers | flow, CPU s a step | PyTorch | / PyTorch | memory, flow | PyTorch |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in rows:
        seconds = f"{row['flow']:.4f} | {row['pytorch']:.4f} | {row['ratio']:.2f}"
        print(f"| {row['layers']} | {seconds} | {row['flow_mib']} MiB | {row['pytorch_mib']} MiB |")
    if chosen.most and any(row["ratio"] > chosen.most for row in rows):
        sys.exit(f"more than {chosen.most} times PyTorch")


if __name__ == "__main__":
    main()
