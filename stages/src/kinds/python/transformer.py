

# Kind `transformer`.


def transformed(spec, instance, x, ids):
    """What `transform` gives for some rows as 32-bit floats, and the names of the columns."""
    import numpy as np

    who = f"`transform` of `{spec['class']}`"
    made = call(spec, instance, "transform", x)
    names = list(made.columns) if hasattr(made, "columns") else None
    made = made.toarray() if hasattr(made, "toarray") else made
    try:
        with np.errstate(over="ignore"):
            values = np.asarray(made, dtype=float).astype(np.float32)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 2 or len(values) != len(ids) or values.shape[1] == 0:
        raise Trouble("shape", f"{who} gives an array of shape {values.shape} for {len(ids)} rows",
                      "a row of numbers for each row that it is given, and a column for each feature")
    bad = np.isinf(values).any(axis=1)
    if bad.any():
        raise Trouble("not_finite", f"{who} gives infinite values for {rows_of(ids, bad)}",
                      "a missing value is NaN, and a feature is a 32-bit float")
    if names is None and hasattr(instance, "get_feature_names_out"):
        try:
            names = list(instance.get_feature_names_out())
        except Exception:
            # It cannot name them, and numbers will do.
            names = None
    if names is None or len(names) != values.shape[1]:
        names = range(values.shape[1])
    return values, [f"{spec['prefix']}{name}" for name in names]


def transform(spec, train, apply, seed, to):
    import numpy as np

    who = f"`transform` of `{spec['class']}`"
    cls = load(spec)
    ids, labels, _, x, facts = read(spec, train)
    instance = make(spec, cls, seed)
    need(spec, instance, "transform")
    if spec["target"] == "none":
        call(spec, instance, "fit", x)
    else:
        call(spec, instance, "fit", x, targets(spec["target"], labels, facts)[1])
    values, names = transformed(spec, instance, x, ids)
    rows, _, _, x, _ = read(spec, apply)
    if rows:
        more, others = transformed(spec, instance, x, rows)
        if others != names:
            raise Trouble("shape", f"{who} gives other columns for the training rows than for the rest",
                          "the columns are those of the fit")
        values, ids = np.concatenate([values, more]), ids + rows
    known = {"object_id", "label"}
    for name in names:
        if name in known:
            raise Trouble("shape", f"{who} gives two columns called `{name}`, or one with a name that is taken",
                          "`object_id` and `label` are taken; `prefix` is put before every name")
        known.add(name)
    order = sorted(range(len(ids)), key=lambda at: ids[at].encode())
    write(to, [ids[at] for at in order], {name: values[order, at] for at, name in enumerate(names)})
