

# Kind `estimator`.

# By how much the sum of a row's probabilities may miss 1: a row of 32-bit floats does by some 1e-7.
SLACK = 1e-4
# From where on flow divides it by its sum.
EXACT = 1e-6


def weights(spec, labels, y, facts):
    """The weight of each training row, or none where all weigh the same."""
    import numpy as np

    wanted = spec["class_weight"]
    if wanted == "none":
        return None
    if wanted == "balanced":
        counts = np.bincount(y)
        return (len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[y]
    unknown = sorted(set(wanted) - set(facts["classes"]))
    if unknown:
        raise Trouble("weights", f"`class_weight` names {listed(unknown)}, and no class is called so",
                      f"the classes are {listed(facts['classes'])}")
    return np.array([float(wanted.get(label, 1.0)) for label in labels])


def takes_weights(method):
    try:
        given = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.name == "sample_weight" or p.kind == p.VAR_KEYWORD for p in given)


def fit(spec, instance, x, y, weight):
    if weight is None:
        return call(spec, instance, "fit", x, y)
    need(spec, instance, "fit")
    if not takes_weights(instance.fit):
        raise Trouble("weights", f"`fit` of `{spec['class']}` takes no `sample_weight`",
                      "leave out `class_weight`; some classes weigh by a parameter of their own, in `params`")
    return call(spec, instance, "fit", x, y, sample_weight=weight)


def order_of(instance, count):
    """The number of the class of each column, or none if the estimator says something else."""
    order = getattr(instance, "classes_", None)
    if order is None:
        return list(range(count))
    try:
        order = [int(name) for name in order]
    except (TypeError, ValueError):
        return None
    return order if sorted(order) == list(range(count)) else None


def probabilities(spec, instance, x, ids, count):
    """What `predict_proba` gives, with a column for each class, checked."""
    import numpy as np

    who = f"`predict_proba` of `{spec['class']}`"
    made = call(spec, instance, "predict_proba", x)
    order = order_of(instance, count)
    try:
        p = np.asarray(made, dtype=np.float64)
    except (TypeError, ValueError):
        p = np.empty(0)
    if p.shape != (len(ids), count) or order is None:
        raise Trouble("shape", f"{who} gives an array of shape {p.shape}, and ({len(ids)}, {count}) is wanted",
                      "a row for each row that it is given, and a column for each class of the training rows, which "
                      f"are 0 to {count - 1} in `classes_`")
    p = p[:, np.argsort(order)]
    bad = ~np.isfinite(p).all(axis=1)
    if bad.any():
        raise Trouble("not_finite", f"{who} gives NaN or infinity for {rows_of(ids, bad)}",
                      "look for a fit that diverged, and for features with missing or very large values")
    bad = ((p < 0) | (p > 1)).any(axis=1)
    if bad.any():
        raise Trouble("probabilities", f"{who} gives numbers below 0 or above 1 for {rows_of(ids, bad)}",
                      "a score is no probability: put CalibratedClassifierCV around the class in a file of your own")
    off = np.abs(p.sum(axis=1) - 1)
    if (off > SLACK).any():
        raise Trouble("probabilities", f"{who} gives probabilities that do not sum to 1 for {rows_of(ids, off > SLACK)}",
                      "divide each row by its sum")
    return p / p.sum(axis=1, keepdims=True) if (off > EXACT).any() else p


def importance(instance, names):
    """The share of each feature, if the estimator says so."""
    import numpy as np

    try:
        found = getattr(instance, "feature_importances_", None)
        if found is None and hasattr(instance, "coef_"):
            found = np.abs(np.atleast_2d(instance.coef_)).mean(axis=0)
        found = np.asarray([] if found is None else found, dtype=float)
    except Exception:
        # An attribute may be there that does not work for these parameters.
        return []
    if found.shape != (len(names),) or not np.isfinite(found).all() or found.min() < 0 or found.sum() <= 0:
        return []
    shares = zip(names, found / found.sum())
    return [[name, float(share)] for name, share in shares if share > 0]


def estimate(spec, train, apply, seed, to, gain_to, model_to=None):
    import numpy as np

    cls = load(spec)
    ids, labels, names, x, facts = read(spec, train)
    classes, y = targets(spec["target"], labels, facts)
    if len(set(y.tolist())) < 2:
        raise Trouble("target", f"all {len(y)} training rows are of one class", "take fewer folds, or another `target`")
    weight = weights(spec, labels, y, facts)
    instance = make(spec, cls, seed)
    need(spec, instance, "predict_proba")
    fit(spec, instance, x, y, weight)
    if spec["package"] == "sklearn" and "n_jobs" in spec["known"]:
        # Threads would add up the trees of a forest in any order.
        instance.set_params(n_jobs=1)
    rows, _, _, x, _ = read(spec, apply)
    p = probabilities(spec, instance, x, rows, len(classes)) if rows else np.empty((0, len(classes)))
    wanted = classes[1:] if spec["target"] == "binary" else facts["classes"]
    column = {name: p[:, at] for at, name in enumerate(classes)}
    # A class that the training rows of a fold lack has probability 0.
    write(to, rows, {f"p_{name}": column.get(name, np.zeros(len(rows))) for name in wanted})
    Path(gain_to).write_text(json.dumps(importance(instance, names)))
    if model_to:
        try:
            made = pickle.dumps(instance, protocol=4)
        except Exception as error:
            raise raised(spec, f"pickling `{spec['class']}`", error) from error
        Path(model_to).write_bytes(made)
