//! How much features matter to a model, by the stages that made them.

use std::collections::BTreeMap;

use serde::Serialize;

/// The importances of the features of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importances {
    /// By the stage that made the features, the largest sum first.
    pub groups: Vec<FeatureGroup>,
    /// The features that matter most: name, stage, share.
    pub top: Vec<(String, String, f64)>,
}

/// The features of one stage, or with one prefix.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FeatureGroup {
    /// The name of the stage, or the prefix and `_*`.
    pub name: String,
    /// The sum of the shares of its features.
    pub share: f64,
    /// The number of its features that the model was given.
    pub features: usize,
    /// The number of them that matter at all.
    pub used: usize,
}

impl Importances {
    /// Puts features with their shares into groups. `makers` has stages with the names of the features that each
    /// made; a feature that several have belongs to the first. A feature of none belongs to those with the same
    /// name up to the first underscore. `most` is the length of [`Importances::top`].
    pub fn new(shares: &[(String, f64)], makers: &[(String, Vec<String>)], most: usize) -> Self {
        let mut maker: BTreeMap<&str, &str> = BTreeMap::new();
        for (stage, features) in makers {
            for feature in features {
                maker.entry(feature).or_insert(stage);
            }
        }
        let group = |feature: &str| match maker.get(feature) {
            Some(stage) => (*stage).to_owned(),
            None => match feature.split_once('_') {
                Some((prefix, _)) => format!("{prefix}_*"),
                None => feature.to_owned(),
            },
        };
        let mut groups: BTreeMap<String, FeatureGroup> = BTreeMap::new();
        for (feature, share) in shares {
            let name = group(feature);
            let sum = groups.entry(name.clone()).or_default();
            sum.name = name;
            sum.share += share;
            sum.features += 1;
            sum.used += usize::from(*share > 0.0);
        }
        let mut groups: Vec<FeatureGroup> = groups.into_values().collect();
        groups.sort_by(|a, b| b.share.total_cmp(&a.share));
        let mut top: Vec<&(String, f64)> = shares.iter().filter(|(_, v)| *v > 0.0).collect();
        top.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let top = top.into_iter().take(most);
        Self {
            groups,
            top: top
                .map(|(name, share)| (name.clone(), group(name), *share))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_belong_to_the_first_stage_that_has_them() {
        let shares: Vec<(String, f64)> = [
            ("rise", 0.25),
            ("rocket_1", 0.5),
            ("rocket_2", 0.0),
            ("color", 0.15),
            ("x_1", 0.06),
            ("x_2", 0.04),
        ]
        .map(|(name, share)| (name.to_owned(), share))
        .to_vec();
        let names = |names: &[&str]| names.iter().map(|s| (*s).to_owned()).collect();
        let makers = [
            ("domain".to_owned(), names(&["rise", "color", "unused"])),
            ("rocket".to_owned(), names(&["rocket_1", "rocket_2"])),
            ("select".to_owned(), names(&["rise", "rocket_1"])),
        ];
        let found = Importances::new(&shares, &makers, 3);
        let groups: Vec<(&str, usize, usize)> = (found.groups.iter())
            .map(|g| (g.name.as_str(), g.features, g.used))
            .collect();
        assert_eq!(groups, [("rocket", 2, 1), ("domain", 2, 2), ("x_*", 2, 2)]);
        let sums: f64 = found.groups.iter().map(|group| group.share).sum();
        assert!((sums - 1.0).abs() < 1e-12);
        assert_eq!(
            found.top,
            [
                ("rocket_1".to_owned(), "rocket".to_owned(), 0.5),
                ("rise".to_owned(), "domain".to_owned(), 0.25),
                ("color".to_owned(), "domain".to_owned(), 0.15),
            ]
        );
    }
}
