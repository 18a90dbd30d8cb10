//! Training curves: the loss of a model by epoch, as the stage that fitted it has written it.

use std::collections::BTreeMap;

/// The most points of a curve that are kept for a plot.
const POINTS: usize = 300;

/// The loss of one set of rows by epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingCurve {
    /// Which rows, such as `train` or `validation`. Empty if the table does not say.
    pub split: String,
    /// The number of epochs.
    pub epochs: usize,
    /// The epoch of the lowest loss, and that loss; `None` if no loss is a number.
    pub best: Option<(f64, f64)>,
    /// The last loss, which is not a number if the fit diverged.
    pub last: f64,
    /// Epochs and losses for a plot, in the order of epochs: at most some 300 of them, the lowest and the
    /// last among them.
    pub points: Vec<(f64, f64)>,
}

/// Reads the text of a CSV table with the columns `epoch` and `loss` and, if it has several curves,
/// `split`. Other columns are ignored. Curves come in the order of their names.
///
/// # Errors
/// Says in a sentence why the text is no such table.
pub fn training_curves(text: &str) -> Result<Vec<TrainingCurve>, String> {
    let mut lines = text.lines().enumerate();
    let cells = |line: &str| -> Vec<String> {
        let cells = line.split(',');
        cells
            .map(|cell| cell.trim().trim_matches('"').to_owned())
            .collect()
    };
    let names = lines
        .next()
        .map(|(_, line)| cells(line))
        .unwrap_or_default();
    let column = |name: &str| names.iter().position(|known| known == name);
    let (Some(epoch), Some(loss)) = (column("epoch"), column("loss")) else {
        return Err("its first line does not name the columns `epoch` and `loss`".to_owned());
    };
    let split = column("split");
    let mut curves: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let row = cells(line);
        let wrong = |what: &str| format!("its line {} has no {what}", number + 1);
        let at = |column: usize| row.get(column).map(String::as_str);
        let epoch = at(epoch).and_then(|text| text.parse::<f64>().ok());
        let epoch = epoch
            .filter(|epoch| epoch.is_finite())
            .ok_or_else(|| wrong("epoch"))?;
        // A loss that is empty or no number is what a fit that diverged writes.
        let loss = at(loss).ok_or_else(|| wrong("loss"))?;
        let loss: f64 = loss.parse().unwrap_or(f64::NAN);
        let split = split.and_then(at).unwrap_or_default();
        curves
            .entry(split.to_owned())
            .or_default()
            .push((epoch, loss));
    }
    if curves.is_empty() {
        return Err("it has no rows".to_owned());
    }
    let curves = curves.into_iter();
    Ok(curves
        .map(|(split, points)| TrainingCurve::new(split, points))
        .collect())
}

/// Takes the text of a CSV table apart that has the curves of several fits: one table for each fold of its column `fold`,
/// and for each number of its column `bag` but the first, with its name. A table without these columns is one, without a
/// name. The fits come in the order of their first rows.
pub fn fits_of(text: &str) -> Vec<(String, String)> {
    let head = text.lines().next().unwrap_or_default();
    let names: Vec<&str> = head
        .split(',')
        .map(|name| name.trim().trim_matches('"'))
        .collect();
    let column = |name: &str| names.iter().position(|known| *known == name);
    let (fold, bag) = (column("fold"), column("bag"));
    if fold.is_none() && bag.is_none() {
        return vec![(String::new(), text.to_owned())];
    }
    let mut fits: Vec<(String, String)> = Vec::new();
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |at: Option<usize>| at.and_then(|at| cells.get(at)).copied();
        let mut name = cell(fold).unwrap_or_default().to_owned();
        if let Some(bag) = cell(bag).filter(|bag| *bag != "0") {
            name = format!("{name} bag {bag}").trim_start().to_owned();
        }
        match fits.iter_mut().find(|(known, _)| *known == name) {
            Some((_, table)) => *table += &format!("\n{line}"),
            None => fits.push((name, format!("{head}\n{line}"))),
        }
    }
    fits
}

impl TrainingCurve {
    fn new(split: String, mut points: Vec<(f64, f64)>) -> Self {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let finite = points
            .iter()
            .enumerate()
            .filter(|(_, (_, loss))| loss.is_finite());
        let best = finite
            .min_by(|(_, a), (_, b)| a.1.total_cmp(&b.1))
            .map(|(at, _)| at);
        let step = points.len().div_ceil(POINTS).max(1);
        let last = points.len() - 1;
        let keep = |at: usize| at.is_multiple_of(step) || at == last || Some(at) == best;
        let kept = points.iter().enumerate().filter(|(at, _)| keep(*at));
        Self {
            split,
            epochs: points.len(),
            best: best.map(|at| points[at]),
            last: points[last].1,
            points: kept.map(|(_, point)| *point).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_come_by_split_in_the_order_of_epochs() {
        let text = "split,epoch,lr,loss\nvalid,2,0.1,0.5\nvalid,1,0.1,0.4\ntrain,1,0.1,0.9\n\ntrain,2,0.1,nan\n";
        let curves = training_curves(text).unwrap();
        let [train, valid] = &curves[..] else {
            panic!("{curves:?}");
        };
        assert_eq!(
            (train.split.as_str(), train.epochs, train.best),
            ("train", 2, Some((1.0, 0.9)))
        );
        assert!(train.last.is_nan());
        assert_eq!(valid.points, [(1.0, 0.4), (2.0, 0.5)]);
        assert_eq!((valid.best, valid.last), (Some((1.0, 0.4)), 0.5));
        let one = training_curves("epoch,loss\n1,2.5\n").unwrap();
        assert_eq!((one.len(), one[0].split.as_str()), (1, ""));
    }

    #[test]
    fn fits_of_one_table_are_told_apart() {
        let text = "fold,bag,epoch,loss\n0.0,0,1,0.5\n0.0,1,1,0.6\n0.0,0,2,0.4\nfinal,0,1,0.3\n";
        let fits = fits_of(text);
        let names: Vec<&str> = fits.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["0.0", "0.0 bag 1", "final"]);
        let curves = training_curves(&fits[0].1).unwrap();
        assert_eq!(curves[0].points, [(1.0, 0.5), (2.0, 0.4)]);
        let plain = "epoch,loss\n1,2\n";
        assert_eq!(fits_of(plain), [(String::new(), plain.to_owned())]);
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
        assert!(curve.points.len() <= 302, "{}", curve.points.len());
        assert!(curve.points.contains(&(4_321.0, 0.25)));
        assert_eq!(curve.points.last(), Some(&(9_999.0, 10_000.0)));
        assert_eq!((curve.epochs, curve.best), (10_000, Some((4_321.0, 0.25))));
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
        assert_eq!(diverged[0].best, None);
    }
}
