"""Makes up a small survey: objects with a class, and light curves with noise."""

import argparse
import csv
import random

from noise import gaussian
from shapes import SHAPES

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
parser.add_argument("--objects")
parser.add_argument("--curves")
options = parser.parse_args()

draw = random.Random(options.seed)
with open(options.objects, "w", newline="") as objects, open(options.curves, "w", newline="") as curves:
    objects, curves = csv.writer(objects), csv.writer(curves)
    objects.writerow(["object_id", "class"])
    curves.writerow(["object_id", "time", "flux"])
    for number in range(20):
        name, shape = draw.choice(sorted(SHAPES.items()))
        objects.writerow([f"obj{number:02}", name])
        for time in range(30):
            flux = 100 * shape(time - 10) + gaussian.noise(draw)
            curves.writerow([f"obj{number:02}", time, f"{flux:.3f}"])
