"""Computes the probabilities of unlabelled objects from an exported model, as docs/learners.md says, and compares
them with the predictions of flow.

    model_files.py MODEL.json FEATURES.csv PREDICTIONS.csv
"""

import csv
import json
import math
import sys


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def filled(x, medians):
    return [median if math.isnan(value) else value for value, median in zip(x, medians)]


def shares(p):
    return p if len(p) == 1 else [each / sum(p) for each in p]


def linear(model, x):
    columns = model["columns"]
    x = filled(x, columns["medians"])
    x = [(value - mean) * scale for value, mean, scale in zip(x, columns["means"], columns["scales"])]
    rows = zip(model["coefficients"], model["intercepts"])
    return [start + sum(w * value for w, value in zip(weights, x)) for weights, start in rows]


def leaf(nodes, x):
    node = nodes[0]
    while "Split" in node:
        split = node["Split"]
        node = nodes[split["left" if x[split["column"]] < split["threshold"] else "right"]]
    return node["Leaf"]


def logistic(model, x):
    margins = linear(model, x)
    if len(margins) == 1:
        return [sigmoid(margins[0])]
    return shares([math.exp(margin - max(margins)) for margin in margins])


def ridge(model, x):
    return shares([sigmoid(margin) for margin in linear(model, x)])


def gbdt(model, x):
    x = filled(x, model["medians"])
    margins = list(model["start"])
    for trees in model["trees"]:
        for at, nodes in enumerate(trees):
            margins[at] += model["learning_rate"] * leaf(nodes, x)
    return shares([sigmoid(2 * margin) for margin in margins])


def xgboost(model, x):
    """The probabilities by XGBoost itself. The columns have the names that the features have."""
    import numpy
    import xgboost as library

    booster = library.Booster()
    booster.load_model(bytearray(json.dumps(model).encode()))
    p = booster.predict(library.DMatrix(numpy.array([x]), feature_names=model["learner"]["feature_names"]))
    return [float(each) for each in numpy.ravel(p)]


def main(model, features, predictions):
    with open(model) as file:
        model = json.load(file)
    wrapped = model.get("format") == "flow model 1"
    models = model["models"] if wrapped else [model]
    columns = model["columns"] if wrapped else model["learner"]["feature_names"]
    learner = {"logistic": logistic, "ridge": ridge, "gbdt": gbdt}.get(model["learner"] if wrapped else "", xgboost)
    features = {row["object_id"]: row for row in rows_of(features)}
    worst, count = 0.0, 0
    for row in rows_of(predictions):
        if row["fold"]:
            continue
        x = [float(features[row["object_id"]][name] or "nan") for name in columns]
        each = [learner(one, x) for one in models]
        p = [sum(values) / len(values) for values in zip(*each)]
        given = [float(value) for name, value in row.items() if name.startswith("p_")]
        assert len(p) == len(given), (p, given)
        worst = max([worst] + [abs(a - b) for a, b in zip(p, given)])
        count += 1
    print(count, worst)
    assert count > 0 and worst < 1e-6


main(*sys.argv[1:])
