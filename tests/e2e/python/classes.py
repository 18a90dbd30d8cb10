"""Estimators and transformers, one for each thing that can go wrong, and some that are sound."""

import numpy as np


class Sound:
    """Scores an object by its distance from the mean of the positive class."""

    def __init__(self, power=1.0, columns=(), random_state=None, n_jobs=None):
        self.power, self.columns, self.random_state = power, columns, random_state

    def fit(self, x, y, sample_weight=None):
        x = np.nan_to_num(x)
        w = np.ones(len(y)) if sample_weight is None else sample_weight
        self.classes_ = np.unique(y)
        self.spread = x.std(axis=0) + 1
        self.means = np.array([np.average(x[y == c], axis=0, weights=w[y == c]) for c in self.classes_])
        self.coef_ = self.means[-1:] / self.spread
        return self

    def predict_proba(self, x):
        d = [(((np.nan_to_num(x) - m) / self.spread) ** 2).mean(axis=1) for m in self.means]
        p = np.exp(-np.minimum(self.power * np.column_stack(d), 700)) + 1e-300
        return p / p.sum(axis=1, keepdims=True)


def made(**given):
    return Sound(**given)


class Turned(Sound):
    """Has its classes in another order."""

    def fit(self, x, y):
        super().fit(x, y)
        self.classes_ = self.classes_[::-1]
        return self

    def predict_proba(self, x):
        return super().predict_proba(x)[:, ::-1]


class NotFinite(Sound):
    def predict_proba(self, x):
        p = super().predict_proba(x)
        p[0] = np.nan
        return p


class Narrow(Sound):
    def predict_proba(self, x):
        return super().predict_proba(x)[:, 1]


class Short(Sound):
    def predict_proba(self, x):
        return super().predict_proba(x)[1:]


class Ragged(Sound):
    def predict_proba(self, x):
        return [[1.0], [0.5, 0.5]]


class Scores(Sound):
    def predict_proba(self, x):
        return super().predict_proba(x) * 3 - 1


class Unsummed(Sound):
    def predict_proba(self, x):
        return super().predict_proba(x) / 2


class Raises(Sound):
    def fit(self, x, y):
        return deeper(x)


def deeper(x):
    raise RuntimeError(f"no convergence after {len(x)} steps, " + "x" * 9999)


class Unweighted:
    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return np.full((len(x), 2), 0.5)


class Labels:
    def fit(self, x, y):
        return self

    def predict(self, x):
        return np.zeros(len(x))


class Counted:
    """Has a column that says on how many rows it was fitted."""

    def fit(self, x):
        self.rows = len(x)
        return self

    def transform(self, x):
        return np.column_stack([np.full(len(x), self.rows), np.nan_to_num(x[:, :2])])


class Checks(Sound):
    """Wants to be fitted on as many rows as the transformer before it."""

    def fit(self, x, y):
        assert x.shape[1] == 3 and (x[:, 0] == len(x)).all(), x[:3]
        return super().fit(x, y)

    def predict_proba(self, x):
        assert len(set(x[:, 0])) == 1
        return super().predict_proba(x)


class Named:
    """Takes a data frame, and gives one."""

    def fit(self, x, y):
        assert set(y) == {0, 1}
        return self

    def transform(self, x):
        return x.iloc[:, :3].rename(columns=str.upper)


class Fewer:
    def fit(self, x):
        return self

    def transform(self, x):
        return x[1:]


class Infinite:
    def fit(self, x):
        return self

    def transform(self, x):
        return np.full((len(x), 1), 1e300)


class Label:
    def fit(self, x):
        return self

    def transform(self, x):
        return np.zeros((len(x), 1))

    def get_feature_names_out(self):
        return ["label"]
