"""Fits LightGBM in plain Python on the features and folds that flow gives, and says how far its probabilities lie
from those of flow: plain.py FEATURES FOLDS PREDICTIONS"""

import sys

import lightgbm
import numpy as np
import pandas as pd

features, folds, predictions = (pd.read_parquet(path) for path in sys.argv[1:])
features = features.set_index("object_id").sort_index()
folds = folds.set_index("object_id").sort_index()
fold = folds["repeat_0"]
x = features.loc[folds.index].to_numpy(dtype=float)
y = (folds["label"] == "TDE").to_numpy(dtype=int)
labelled = folds["label"].notna().to_numpy()


def predict(train, apply):
    weight = len(y[train]) / (2 * np.bincount(y[train]))[y[train]]
    model = lightgbm.LGBMClassifier(n_estimators=40, num_leaves=7, random_state=11, n_jobs=1, deterministic=True,
                                    force_row_wise=True, subsample=0.8, subsample_freq=1, verbosity=-1)
    model.fit(x[train], y[train], sample_weight=weight)
    return pd.Series(model.predict_proba(x[apply])[:, 1], folds.index[apply])


worst, rows = 0.0, 0
for number in sorted(fold.dropna().unique()):
    held_out = (fold == number).to_numpy()
    plain = predict(labelled & ~held_out, held_out)
    theirs = predictions[predictions["fold"] == number].set_index("object_id")["p_TDE"]
    assert set(theirs.index) == set(plain.index)
    worst = max(worst, (theirs.loc[plain.index] - plain).abs().max())
    rows += len(plain)
plain = predict(labelled, ~labelled)
theirs = predictions[predictions["fold"].isna()].set_index("object_id")["p_TDE"]
worst = max(worst, (theirs.loc[plain.index] - plain).abs().max())
rows += len(plain)
assert rows == len(predictions), (rows, len(predictions))
print(f"{rows} rows, largest difference {worst:.3g}")
sys.exit(worst > 1e-12)
