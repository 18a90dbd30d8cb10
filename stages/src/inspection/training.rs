//! Training curves: the loss of a model by epoch, as the stage that fitted it has written it.

use std::collections::BTreeMap;

/// The most points of a curve for a plot, besides the lowest and the last one.
const POINTS: usize = 300;

/// The most points of all curves of a plot together, unless there are very many curves.
const POINTS_IN_ALL: usize = 12_000;

/// The measure that a fit minimizes.
pub const LOSS: &str = "loss";

/// Epochs and values.
type Points = Vec<(f64, f64)>;

/// A measure of one fit, on one set of rows, by epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingCurve {
    /// What is measured: [`LOSS`], or the name of another column.
    pub measure: String,
    /// The fold. Empty if the table does not say.
    pub fold: String,
    /// Which of several fits of the fold. Empty if the table does not say.
    pub bag: String,
    /// Which rows, such as `train` or `validation`. Empty if the table does not say.
    pub split: String,
    /// Epochs and values in the order of epochs, at least one. A value is not a number where the fit diverged,
    /// or where the table has none.
    pub points: Points,
}

impl TrainingCurve {
    /// Returns the epoch of the lowest value, and that value, or `None` if no value is finite.
    pub fn lowest(&self) -> Option<(f64, f64)> {
        let finite = self.points.iter().filter(|(_, value)| value.is_finite());
        finite.min_by(|a, b| a.1.total_cmp(&b.1)).copied()
    }

    /// Returns the last value.
    pub fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |(_, value)| *value)
    }

    /// Returns every `step`-th point, the lowest and the last one.
    pub fn thinned(&self, step: usize) -> Points {
        let lowest = self.lowest().map(|(epoch, _)| epoch);
        let last = self.points.len().saturating_sub(1);
        let keep =
            |at: usize, epoch: f64| at.is_multiple_of(step) || at == last || Some(epoch) == lowest;
        let kept = self.points.iter().enumerate();
        kept.filter(|(at, point)| keep(*at, point.0))
            .map(|(_, point)| *point)
            .collect()
    }
}

/// Returns the step by which to thin the curves of one plot, so that they have points at the same epochs.
pub fn thinning<'c>(curves: impl Iterator<Item = &'c TrainingCurve>) -> usize {
    let (mut count, mut longest) = (0, 0);
    for curve in curves {
        count += 1;
        longest = longest.max(curve.points.len());
    }
    let most = (POINTS_IN_ALL / count.max(1)).clamp(POINTS / 10, POINTS);
    longest.div_ceil(most).max(1)
}

/// Reads the text of a CSV table with the columns `epoch` and `loss`. If it has several curves, the columns `fold`,
/// `bag` and `split` tell them apart. Every other column that has a number gives curves of its own. Curves come by
/// measure, the loss first, then in the order of their names.
///
/// # Errors
/// Says in a sentence why the text is no such table.
pub fn training_curves(text: &str) -> Result<Vec<TrainingCurve>, String> {
    let mut lines = text.lines().enumerate();
    let names = lines
        .next()
        .map(|(_, line)| cells(line))
        .unwrap_or_default();
    let head = Head::of(&names)?;
    let mut curves: BTreeMap<(usize, [&str; 3]), Points> = BTreeMap::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let row = cells(line);
        let wrong = |what: &str| format!("its line {} has no {what}", number + 1);
        let epoch = row
            .get(head.epoch)
            .and_then(|text| text.parse::<f64>().ok());
        let epoch = epoch
            .filter(|epoch| epoch.is_finite())
            .ok_or_else(|| wrong("epoch"))?;
        let of = head.labels.map(|label| {
            label
                .and_then(|at| row.get(at).copied())
                .unwrap_or_default()
        });
        for (measure, &column) in head.measures.iter().enumerate() {
            let cell = row.get(column).copied();
            if measure == 0 && cell.is_none() {
                return Err(wrong(LOSS));
            }
            // A value that is empty or no number is what a fit that diverged writes.
            let value = cell.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
            curves
                .entry((measure, of))
                .or_default()
                .push((epoch, value));
        }
    }
    if curves.is_empty() {
        return Err("it has no rows".to_owned());
    }
    let curves = curves
        .into_iter()
        .map(|((measure, [fold, bag, split]), mut points)| {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            TrainingCurve {
                measure: names[head.measures[measure]].to_owned(),
                fold: fold.to_owned(),
                bag: bag.to_owned(),
                split: split.to_owned(),
                points,
            }
        });
    Ok(curves
        .filter(|curve| curve.measure == LOSS || curve.lowest().is_some())
        .collect())
}

fn cells(line: &str) -> Vec<&str> {
    let cells = line.split(',');
    cells.map(|cell| cell.trim().trim_matches('"')).collect()
}

/// Where the columns of a table are.
struct Head {
    epoch: usize,
    /// The fold, the bag and the split, as far as there are such columns.
    labels: [Option<usize>; 3],
    /// The loss, then all other columns.
    measures: Vec<usize>,
}

impl Head {
    fn of(names: &[&str]) -> Result<Self, String> {
        let column = |name: &str| names.iter().position(|known| *known == name);
        let (Some(epoch), Some(loss)) = (column("epoch"), column(LOSS)) else {
            return Err("its first line does not name the columns `epoch` and `loss`".to_owned());
        };
        let labels = ["fold", "bag", "split"].map(column);
        let is_other = |at: &usize| ![epoch, loss].contains(at) && !labels.contains(&Some(*at));
        let others = (0..names.len()).filter(|at| is_other(at) && !names[*at].is_empty());
        Ok(Self {
            epoch,
            labels,
            measures: std::iter::once(loss).chain(others).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_come_by_split_in_the_order_of_epochs() {
        let text =
            "split,epoch,note,loss\nvalid,2,a,0.5\nvalid,1,b,0.4\ntrain,1,,0.9\n\ntrain,2,,nan\n";
        let curves = training_curves(text).unwrap();
        let [train, valid] = &curves[..] else {
            panic!("{curves:?}");
        };
        assert_eq!(
            (train.split.as_str(), train.points.len(), train.lowest()),
            ("train", 2, Some((1.0, 0.9)))
        );
        assert!(train.last().is_nan());
        assert_eq!(valid.points, [(1.0, 0.4), (2.0, 0.5)]);
        assert_eq!((valid.lowest(), valid.last()), (Some((1.0, 0.4)), 0.5));
        let one = training_curves("epoch,loss\n1,2.5\n").unwrap();
        assert_eq!((one.len(), one[0].split.as_str()), (1, ""));
    }

    #[test]
    fn folds_bags_and_measures_are_told_apart() {
        let text = "fold,bag,epoch,split,loss,score\n0.1,0,1,train,0.5,\n0.1,1,1,train,0.6,0.25\nfinal,0,1,train,0.7,\n0.1,1,2,train,0.4,0.5\n";
        let curves = training_curves(text).unwrap();
        let named =
            |curve: &TrainingCurve| format!("{} {} {}", curve.measure, curve.fold, curve.bag);
        let names: Vec<String> = curves.iter().map(named).collect();
        assert_eq!(
            names,
            ["loss 0.1 0", "loss 0.1 1", "loss final 0", "score 0.1 1"]
        );
        assert_eq!(curves[3].points, [(1.0, 0.25), (2.0, 0.5)]);
    }

    #[test]
    fn a_long_curve_is_thinned_and_keeps_its_lowest_and_its_last_point() {
        let mut text = "epoch,loss\n".to_owned();
        for epoch in 0..10_000 {
            let loss = if epoch == 4_321 {
                0.25
            } else {
                1.0 + f64::from(epoch)
            };
            text.push_str(&format!("{epoch},{loss}\n"));
        }
        let curve = training_curves(&text).unwrap().remove(0);
        let points = curve.thinned(thinning([&curve].into_iter()));
        assert!((200..=302).contains(&points.len()), "{}", points.len());
        assert!(points.contains(&(4_321.0, 0.25)));
        assert_eq!(points.last(), Some(&(9_999.0, 10_000.0)));
        assert_eq!(curve.lowest(), Some((4_321.0, 0.25)));
        // Curves of a hundred epochs are only thinned if there are hundreds.
        let short = TrainingCurve {
            points: curve.points[..100].to_vec(),
            ..curve
        };
        assert_eq!(thinning([&short; 96].into_iter()), 1);
        assert_eq!(thinning([&short; 1_000].into_iter()), 4);
    }

    #[test]
    fn other_texts_are_told_apart() {
        for (text, what) in [
            ("", "columns"),
            ("a,b\n1,2\n", "columns"),
            ("epoch,loss\n", "no rows"),
            ("epoch,loss\n1\n", "line 2 has no loss"),
            ("epoch,loss\n1,2\nx,3\n", "line 3 has no epoch"),
            ("epoch,loss\ninf,3\n", "line 2 has no epoch"),
        ] {
            let error = training_curves(text).unwrap_err();
            assert!(error.contains(what), "{text:?}: {error}");
        }
        let diverged = training_curves("epoch,loss\n1,\n2,inf\n").unwrap();
        assert_eq!(diverged[0].lowest(), None);
    }
}
