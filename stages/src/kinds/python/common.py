"""Runs a Python class on the rows of a fold, for the kinds `estimator` and `transformer`.

    PROGRAM versions SPEC
    PROGRAM run SPEC TRAIN APPLY SEED OUTPUT...

The program is the files `common.py`, `estimator.py`, `transformer.py` and `main.py`, one after the other. SPEC is
JSON, TRAIN and APPLY are Parquet. What goes wrong by the user's choice of class or parameters is told as one line,
MARK and JSON, and flow makes a diagnostic of it.
"""

import difflib
import importlib
import importlib.util
import inspect
import json
import os
import pickle
import random
import re
import sys
import tempfile
import traceback
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

MARK = "flow-python: "
# Names under which a constructor takes its seed and its number of threads, the first that it has.
SEEDS = ("random_state", "random_seed", "seed")
THREADS = ("n_jobs", "thread_count", "nthread", "num_threads")
# Packages that take any parameter and only print a warning about one that they do not know, with the level from
# which they print it.
WARNS = {"lightgbm": 0, "xgboost": 1}
UNKNOWN = re.compile(r"Unknown parameter: (\S+)|Parameters: \{ (.*?) \} (?:are|might) not")
# The names of packages that are not those of their modules.
PACKAGES = {"sklearn": "scikit-learn", "imblearn": "imbalanced-learn"}
METHODS = {
    "predict_proba": "flow scores probabilities: take a class that gives them, or put CalibratedClassifierCV around "
    "this one in a file of your own",
    "transform": "a transformer has `fit` and `transform`; for a classifier there is `use = \"estimator\"`",
}
# The most calls of a traceback, and rows of a table, that are named.
FRAMES = 6
NAMED = 3


class Trouble(Exception):
    """What went wrong, for people."""

    def __init__(self, what, message, *hints):
        super().__init__(message)
        self.told = {"what": what, "message": message, "help": list(hints)}


def listed(names):
    return ", ".join(f"`{name}`" for name in names)


def near(name, names):
    close = difflib.get_close_matches(name, sorted(names), n=NAMED)
    return [f"did you mean {listed(close)}?"] if close else []


def rows_of(ids, bad):
    """How many rows are bad, and some of them."""
    some = [name for name, is_bad in zip(ids, bad) if is_bad]
    more = ", ..." if len(some) > NAMED else ""
    return f"{len(some)} of {len(ids)} rows ({listed(some[:NAMED])}{more})"


# The class and its parameters.


def missing(spec, package):
    """A package that is not there, with the command that installs it."""
    wanted = f"-r {spec['requirements']}" if spec["requirements"] else PACKAGES.get(package, package)
    # In these words flow looks for a file of the project that is not declared.
    print(f"No module named '{package}'")
    message = f"`{spec['python']}` has no package `{package}`, which `{spec['class']}` needs"
    return Trouble("package", message, f"{spec['python']} -m pip install {wanted}")


def place(spec):
    """The module of the class and its name there: `file.py` and what follows `:`, or all before the last dot."""
    return spec["class"].rsplit(":" if ":" in spec["class"] else ".", 1)


def load(spec):
    """The class. What is no class but makes estimators if it is called will do."""
    module, name = place(spec)
    if module.endswith(".py"):
        sys.path.insert(0, str(Path(module).resolve().parent))
        module = Path(module).stem
    try:
        made = importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or module).split(".")[0]
        if error.name == package:
            raise missing(spec, package) from error
        known = [other for other in sys.modules if other.startswith(f"{package}.")]
        hints = near(error.name or module, known) or [f"the class comes after the last dot of `{spec['class']}`"]
        raise Trouble("class", f"there is no module `{error.name}`", *hints) from error
    except Exception as error:
        raise raised(spec, f"importing `{module}`", error) from error
    found = getattr(made, name, None)
    if not callable(found):
        known = [other for other, value in vars(made).items() if inspect.isclass(value)]
        known += getattr(made, "__all__", [])
        hints = near(name, set(known)) or [f"it has {listed(sorted(set(known))[:20])}"]
        raise Trouble("class", f"`{module}` has no class `{name}`", *hints)
    spec["package"] = (getattr(found, "__module__", None) or "").split(".")[0]
    spec["known"], spec["open_ended"] = parameters(found)
    return found


def parameters(cls):
    """The names of what a constructor takes, and whether it takes any other."""
    try:
        given = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return set(), True
    names = {p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    open_ended = any(p.kind == p.VAR_KEYWORD for p in given)
    if open_ended and inspect.isclass(cls):
        # It may hand on what it does not name to a class above.
        for above in cls.__mro__[1:-1]:
            names |= parameters(above)[0]
    return names, open_ended


def make(spec, cls, seed):
    """An instance with the user's parameters, and flow's seed and number of threads where it takes such."""
    given = dict(spec["params"])
    unknown = sorted(set(given) - spec["known"])
    if unknown and not spec["open_ended"]:
        raise wrong_parameter(spec, unknown)
    for names, value in ((SEEDS, seed % 2**31), (THREADS, int(os.environ.get("FLOW_CPUS", "1")))):
        taken = [name for name in names if name in spec["known"]]
        if taken and not set(given) & set(names):
            given[taken[0]] = value
    if spec["package"] in WARNS:
        # What it prints goes to a log, and its results do not depend on how much that is.
        for name in ("verbosity", "verbose", "silent"):
            given.pop(name, None)
        given["verbosity"] = WARNS[spec["package"]]
    try:
        return cls(**given)
    except TypeError as error:
        message = f"`{spec['class']}` cannot be made of its `params`: {error}"
        raise Trouble("parameter", message, *known_parameters(spec)) from error
    except Exception as error:
        raise raised(spec, f"`{spec['class']}`", error) from error


def known_parameters(spec):
    return [f"it takes {listed(sorted(spec['known']))}"] if spec["known"] else ["see its documentation"]


def wrong_parameter(spec, unknown):
    hints = [hint for name in unknown for hint in near(name, spec["known"])]
    message = f"`{spec['class']}` has no parameter {listed(unknown)}"
    return Trouble("parameter", message, *(hints or known_parameters(spec)))


# What an instance does.


def raised(spec, who, error):
    """An exception, with the end of its traceback, without what this program adds to it."""
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if frame.filename != "<string>" and "importlib" not in frame.filename]
    lines = "".join(traceback.format_list(frames[-FRAMES:])).rstrip().replace(f"{os.getcwd()}/", "")
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    # The class of scikit-learn for a parameter of the right name with a wrong value.
    if type(error).__name__ == "InvalidParameterError":
        return Trouble("parameter", f"`{spec['class']}` refuses its `params`: {error}", *known_parameters(spec))
    hints = [f"where it was raised, the last call last:\n{lines}\n{text}" if lines else "see its documentation"]
    if "NaN" in str(error):
        hints.append("some features have missing values (NaN): fill them in a stage before, or take a class that "
                     "accepts them, such as sklearn.ensemble.HistGradientBoostingClassifier")
    first = next(iter(text.splitlines()), type(error).__name__)
    return Trouble("raised", f"{who} raised {first}", *hints)


def need(spec, instance, method):
    if not hasattr(instance, method):
        hint = METHODS.get(method, "see its documentation")
        raise Trouble("method", f"`{spec['class']}` has no method `{method}`", hint)


def call(spec, instance, method, *args, **more):
    """Calls a method. What it prints goes on to the log."""
    need(spec, instance, method)
    try:
        with heard(spec):
            return getattr(instance, method)(*args, **more)
    except Trouble:
        raise
    except Exception as error:
        raise raised(spec, f"`{method}` of `{spec['class']}`", error) from error


@contextmanager
def heard(spec):
    """Looks through what is printed, also by compiled code, for parameters that nobody knows."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in enumerate(kept, 1):
                os.dup2(copy, number)
                os.close(copy)
            said.seek(0)
            text = said.read().decode(errors="replace")
            print(text, end="", flush=True)
    found = set()
    if spec["package"] in WARNS:
        for one, several in UNKNOWN.findall(text):
            found |= {one} if one else set(re.findall(r'"(.*?)"', several))
    if found:
        raise wrong_parameter(spec, sorted(found))


# Tables.


def read(spec, path):
    """The objects, their labels if there are any, the names of the features, the features as the class gets them,
    and what the file says of the classes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    schema = file.schema_arrow
    columns = [(at, name) for at, name in enumerate(schema.names) if name not in ("object_id", "label")]
    for at, name in columns:
        kind = schema.field(at).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            raise Trouble("features", f"the column `{name}` holds no numbers",
                          "light curves come in through a stage that measures features, such as `domain`")
    names = [name for _, name in columns]
    x = np.empty((file.metadata.num_rows, len(names)), dtype=spec["dtype"])
    ids, labels, first = [], [], 0
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, use_threads=False)
        last = first + rows.num_rows
        ids.extend(rows.column("object_id").to_pylist())
        if "label" in schema.names:
            labels.extend(rows.column("label").to_pylist())
        # Column after column first, which is many times as fast if there are many.
        block = np.empty((len(columns), rows.num_rows), dtype=np.float32)
        for values, (at, _) in zip(block, columns):
            values[:] = rows.column(at).to_numpy()
        x[first:last] = block.T
        first = last
    if np.isinf(x).any():
        row, column = np.argwhere(np.isinf(x))[0]
        raise Trouble("features", f"feature `{names[column]}` of object `{ids[row]}` is infinite",
                      "a missing value is NaN; look at the stage that makes the feature")
    if spec["table"] == "frame":
        import pandas as pd

        x = pd.DataFrame(x, columns=names)
    said = schema.metadata or {}
    facts = {key: json.loads(said.get(f"flow.{key}".encode(), b"[]")) for key in ("classes", "positive")}
    return ids, labels, names, x, facts


def write(path, ids, columns):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"object_id": pa.array(ids, pa.string()), **columns})
    pq.write_table(table, path, compression="none", use_dictionary=False)


def targets(target, labels, facts):
    """The classes among the training rows, and the number of each row's. A binary target has the positive class
    behind all others together."""
    import numpy as np

    if target == "binary":
        if not facts["positive"]:
            raise Trouble("target", "the survey names no positive class",
                          'target = "classes" learns all classes, and `positive` of `ingest` names one')
        positive = facts["positive"][0]
        return ["", positive], np.array([int(label == positive) for label in labels])
    classes = [name for name in facts["classes"] if name in set(labels)]
    number = {name: at for at, name in enumerate(classes)}
    return classes, np.array([number[label] for label in labels])
