"""The brightest point of each light curve: brightest.py CURVES OUT"""

import csv
import sys

curves, out = sys.argv[1:]
best = {}
with open(curves, newline="") as file:
    for row in csv.DictReader(file):
        point = (float(row["flux"]), row["time"])
        best[row["object_id"]] = max(point, best.get(row["object_id"], point))
with open(out, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["object_id", "time", "flux"])
    for name, (flux, time) in sorted(best.items()):
        writer.writerow([name, time, flux])
