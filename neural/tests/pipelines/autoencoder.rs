//! The kind `autoencoder`.

use std::collections::BTreeMap;

use crate::common::{fact, ports, project};
use flow_stages::table::FeatureTable;

fn stage(more: &str) -> String {
    format!(
        r#"
[stages.encoded]
use = "autoencoder"
inputs = {{ sequences = "merged", folds = "folds" }}
units = [6, 4]
hidden = [5]
latent = 2
decoder = [4]
epochs = 4
early_stopping = 2
batch_size = 32
{more}

[stages.model]
use = "model"
inputs = {{ features = ["domain", "encoded"], folds = "folds" }}
rounds = 5

[stages.scores]
use = "evaluate"
inputs = {{ predictions = "model" }}
"#
    )
}

#[test]
fn each_fold_has_features_of_its_own_for_all_rows() {
    let project = project(&stage("prefix = \"vae_\""));
    let found = ports(&project, "encoded", "one", 2);
    let mut rows = BTreeMap::<String, usize>::new();
    let mut tables = Vec::new();
    for part in &found["features"].parts {
        let table = FeatureTable::open(&part.path).unwrap();
        assert_eq!(
            table.columns(),
            ["vae_latent_1", "vae_latent_2", "vae_reconstruction_error"]
        );
        for row in 0..table.object_ids().len() {
            let row = table.row(row);
            assert!(
                row.iter().all(|x| x.is_finite()) && row[2] >= 0.0,
                "{row:?}"
            );
        }
        *rows.entry(part.fold.clone().unwrap()).or_default() += table.object_ids().len();
        tables.push(part.digest);
    }
    let folds = ["0.0", "0.1", "0.2", "final"].map(|fold| (fold.to_owned(), 140));
    assert_eq!(rows, BTreeMap::from(folds));
    tables.sort();
    let before = tables.len();
    tables.dedup();
    assert_eq!(tables.len(), before, "no two folds have the same");
    assert_eq!(fact(&found["model"], "rows"), [80, 80, 80, 120]);
    let history = std::fs::read_to_string(&found["history"].parts[0].path).unwrap();
    assert!(history.contains("\nfinal,0,1,validation,"), "{history}");
    let again = ports(&project, "encoded", "two", 1);
    assert_eq!(again["features"].digest(), found["features"].digest());
    assert_eq!(
        ports(&project, "scores", "one", 1).len(),
        3,
        "a model on them is scored"
    );
}

#[test]
fn rows_without_a_label_may_be_seen_by_every_fold() {
    let project = project(&stage("scope = \"all\""));
    let found = ports(&project, "encoded", "one", 2);
    assert_eq!(fact(&found["model"], "rows"), [100, 100, 100, 140]);
}
