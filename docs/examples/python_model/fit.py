"""Logistic regression over all classes: fit.py TRAIN APPLY PREDICTIONS

TRAIN is Parquet with `object_id`, `label` and features, and the list of all classes in its metadata;
APPLY is the same without `label`. PREDICTIONS gets one row for every row of APPLY, with a column
`p_<class>` for every class. With scikit-learn, `fit` and `predict` are its two lines:

    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(x, y)
    p = model.predict_proba(x)  # columns in the order of model.classes_
"""

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

STEPS = 300
PENALTY = 0.05


def read(path):
    table = pq.read_table(path)
    names = [name for name in table.column_names if name not in ("object_id", "label")]
    return table, np.column_stack([table[name].to_numpy() for name in names]).astype(float)


class Scaler:
    """What the training rows say of each column: its centre, its spread, what stands for a gap."""

    def __init__(self, x):
        known = np.where(np.isfinite(x), x, np.nan)
        empty = np.isnan(known).all(axis=0)
        known[:, empty] = 0
        self.centre = np.nanmedian(known, axis=0)
        self.spread = np.nanstd(known, axis=0)
        self.spread[self.spread == 0] = 1

    def __call__(self, x):
        x = np.where(np.isfinite(x), x, self.centre)
        x = np.clip((x - self.centre) / self.spread, -5, 5)
        return np.column_stack([x, np.ones(len(x))])


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def fit(x, truth):
    """Weights by Nesterov's accelerated gradient descent, from zero: no random numbers."""
    rate = 1 / (np.linalg.norm(x, 2) ** 2 / len(x) / 2 + PENALTY)
    weights = last = np.zeros((x.shape[1], truth.shape[1]))
    for step in range(STEPS):
        ahead = weights + step / (step + 3) * (weights - last)
        slope = x.T @ (softmax(x @ ahead) - truth) / len(x) + PENALTY * ahead
        weights, last = ahead - rate * slope, weights
    return weights


def main(train_path, apply_path, to):
    train, x = read(train_path)
    classes = json.loads(train.schema.metadata[b"flow.classes"])
    labels = train["label"].to_pylist()
    truth = np.array([[label == name for name in classes] for label in labels], dtype=float)
    scale = Scaler(x)
    weights = fit(scale(x), truth)

    rows, x = read(apply_path)
    probability = softmax(scale(x) @ weights)
    columns = {"object_id": rows["object_id"]}
    columns |= {f"p_{name}": probability[:, i] for i, name in enumerate(classes)}
    pq.write_table(pa.table(columns), to)


main(*sys.argv[1:])
