"""Compares an epoch of the networks `cnn` and `gru_attention` with PyTorch: same sequences, same batches in size and
padding, same threads, by turns.

    cargo build --release --features neural
    python benches/networks.py [--threads 1] [--objects 1200] [--epochs 6] [--rounds 3]

Both are run with one epoch and with more, and the difference is divided by the epochs, so that what happens once does
not count. The figures are CPU seconds an epoch, and the most memory of the process.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAYOUTS = {
    "cnn": ("bands", ["time", "flux", "snr", "log_flux", "cumulative_time"]),
    "gru_attention": ("merged", ["time", "flux", "flux_err", "band"]),
}


def pipeline(architecture, objects):
    layout, channels = LAYOUTS[architecture]
    return f"""
[pipeline]
name = "bench"
[stages.ingest]
use = "ingest"
format = "demo"
labelled = {objects}
unlabelled = 1
[stages.sequences]
use = "sequences"
inputs = {{ curves = "ingest" }}
layout = "{layout}"
channels = {json.dumps(channels)}
[stages.metadata]
use = "statistics"
inputs = {{ curves = "ingest" }}
set = "metadata"
[stages.folds]
use = "folds"
inputs = {{ objects = "ingest" }}
k = 2
[stages.model]
use = "network"
inputs = {{ sequences = "sequences", features = ["metadata"], folds = "folds" }}
architecture = "{architecture}"
early_stopping = 0
epochs = 1
"""


def flow(folder, threads, epochs):
    """The CPU seconds and the memory of the final fit, which is on all labelled objects."""
    flow = os.environ.get("FLOW", str(ROOT / "target/release/flow"))
    command = [flow, "run", "p.toml", "--jobs", str(threads), "--message-format", "json", "-q"]
    command += ["--set", f"model.epochs={epochs}", "--store", tempfile.mkdtemp(dir=folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    fits = [e for e in events if e["event"] == "action-finished" and e["stage"] == "model"]
    fit = next(e for e in fits if e["action"] == "fit final")
    return fit["cpu_s"], fit["peak_rss"]


def peer(folder, architecture, threads, epochs):
    """The same of PyTorch, in a process of its own."""
    command = [sys.executable, __file__, "--peer", architecture, folder]
    command += ["--threads", str(threads), "--epochs", str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return tuple(json.loads(done.stdout))


def run_peer(architecture, folder, threads, epochs):
    import numpy
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    values = numpy.load(pathlib.Path(folder) / "sequences.npz")["sequences"]
    values = torch.from_numpy(values)  # objects, tracks, points, channels
    mask = torch.isfinite(values[..., 0])
    values = torch.nan_to_num(values)
    objects, tracks, _, channels = values.shape
    features = torch.randn(objects, 2)
    labels = (torch.arange(objects) % 20 == 0).float()

    class Cnn(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [channels, 32, 64, 128, 128]

            def encoder():
                pairs = zip(sizes, sizes[1:])
                return nn.ModuleList(
                    nn.ModuleList([nn.Conv1d(i, o, 3, padding=1, bias=False), nn.BatchNorm1d(o)]) for i, o in pairs
                )

            self.encoders = nn.ModuleList(encoder() for _ in range(tracks))
            self.metadata = nn.Linear(2, 32)
            self.head = nn.Sequential(nn.Linear(tracks * 128 + 32, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 1))

        def forward(self, x, mask, features):
            rows = []
            for track, layers in enumerate(self.encoders):
                # Padded to the longest of the batch, as flow does.
                points = max(int(mask[:, track].sum(1).max()), 8)
                points += -points % 8
                h = x[:, track, :points].transpose(1, 2)
                m = mask[:, track, :points].float()
                for place, (convolution, norm) in enumerate(layers):
                    h = torch.relu(norm(convolution(h)))
                    if place < 3:
                        h = nn.functional.max_pool1d(h, 2)
                        m = nn.functional.max_pool1d(m.unsqueeze(1), 2).squeeze(1)
                rows.append((h * m.unsqueeze(1)).sum(2) / m.sum(1, keepdim=True).clamp(min=1))
            rows.append(torch.relu(self.metadata(features)))
            return self.head(torch.cat(rows, 1)).squeeze(1)

    class GruAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(channels, 64, batch_first=True, bidirectional=True)
            self.query, self.key, self.score = nn.Linear(128, 64), nn.Linear(128, 64), nn.Linear(64, 1, bias=False)
            self.head = nn.Sequential(nn.Linear(130, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 1))

        def forward(self, x, mask, features):
            mask = mask[:, 0]
            points = int(mask.sum(1).max())
            x, mask = x[:, 0, :points], mask[:, :points]
            states, last = self.gru(x)
            query = torch.cat([last[0], last[1]], 1)
            scores = self.score(torch.tanh(self.key(states) + self.query(query).unsqueeze(1))).squeeze(2)
            weights = torch.softmax(scores.masked_fill(~mask, float("-inf")), 1)
            found = (weights.unsqueeze(2) * states).sum(1)
            return self.head(torch.cat([found, features], 1)).squeeze(1)

    network = {"cnn": Cnn, "gru_attention": GruAttention}[architecture]()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def epoch():
        for rows in torch.randperm(objects).split(64):
            logits = network(values[rows], mask[rows], features[rows])
            p = torch.sigmoid(logits)
            right = torch.where(labels[rows] == 1, p, 1 - p)
            alpha = torch.where(labels[rows] == 1, 0.75, 0.25)
            loss = -(alpha * (1 - right) ** 2 * torch.log(right.clamp(min=1e-7))).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    for _ in range(epochs):
        epoch()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--objects", type=int, default=1200)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return run_peer(*args.peer, args.threads, args.epochs)
    print("| network | threads | flow, CPU s an epoch | PyTorch | ratio | flow, MB | PyTorch, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for architecture in LAYOUTS:
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "p.toml").write_text(pipeline(architecture, args.objects))
            program = os.environ.get("FLOW", str(ROOT / "target/release/flow"))
            run = [program, "run", "p.toml", "--to", "sequences", "-q"]
            subprocess.run(run, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            export = [program, "export", "last", "sequences.sequences", "-q", "-o", "sequences.npz"]
            subprocess.run(export, cwd=folder, check=True)
            best = {"flow": float("inf"), "peer": float("inf")}
            memory = {}
            for _ in range(args.rounds):
                runs = {
                    "flow": lambda epochs: flow(folder, args.threads, epochs),
                    "peer": lambda epochs: peer(folder, architecture, args.threads, epochs),
                }
                for name, run in runs.items():
                    (once, _), (more, memory[name]) = run(1), run(1 + args.epochs)
                    best[name] = min(best[name], (more - once) / args.epochs)
            ratio = best["flow"] / best["peer"]
            megabytes = [f"{memory[name] / 1e6:.0f}" for name in ("flow", "peer")]
            print(
                f"| {architecture} | {args.threads} | {best['flow']:.2f} | {best['peer']:.2f} | {ratio:.2f} |"
                f" {' | '.join(megabytes)} |"
            )


if __name__ == "__main__":
    main()
