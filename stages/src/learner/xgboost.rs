//! XGBoost's JSON models (`booster.save_model("model.json")`): reads those of a user, and writes ours.
//!
//! The trees of hessboost are those of XGBoost: `value < threshold` in 32 bits, a way for missing values at
//! every split, leaves of 32 bits that are summed in 32 bits in the order of the trees. So a model that is
//! written gives the same margins in XGBoost, bit by bit.

use ::hessboost::model::{BoostedModel, ModelFormat};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LearnError;
use super::ensemble::{EnsembleNode, EnsembleTree, MarginLink, MarginSum, TreeEnsemble};

/// Reads a model, and the names of its columns; there are none if it was fitted on a matrix without names.
///
/// # Errors
/// [`LearnError::Model`] if the bytes are no such model, or one that cannot be predicted exactly here: with
/// categorical splits, a linear booster, leaves of several values, or a loss that gives no probabilities of
/// classes.
pub fn read(bytes: &[u8]) -> Result<(TreeEnsemble, Vec<String>), LearnError> {
    let unreadable = |e: serde_json::Error| LearnError::Model(e.into());
    let mut file: Value = serde_json::from_slice(bytes).map_err(unreadable)?;
    // Before version 3.1, XGBoost wrote one number, and not a list.
    if let Some(Value::String(base)) = file.pointer_mut("/learner/learner_model_param/base_score")
        && !base.starts_with('[')
    {
        *base = format!("[{base}]");
    }
    let model = BoostedModel::decode(file.to_string(), ModelFormat::XgboostJson);
    let model = model.map_err(|e| LearnError::Model(e.into()))?;
    let link = match model.objective().name() {
        "binary:logistic" | "binary:logitraw" | "reg:logistic" => MarginLink::Logistic(1.0),
        "multi:softprob" | "multi:softmax" => MarginLink::Softmax,
        other => {
            let reason = format!(
                "its objective `{other}` gives no probabilities of classes; binary:logistic and multi:softprob do"
            );
            return Err(LearnError::Model(reason.into()));
        }
    };
    let ensemble = ensemble(&model, link)?.checked()?;
    let names = file.pointer("/learner/feature_names");
    let names: Vec<String> = match names {
        Some(names) => Deserialize::deserialize(names).map_err(unreadable)?,
        None => Vec::new(),
    };
    if !names.is_empty() && names.len() != ensemble.columns {
        let reason = format!("{} names of {} columns", names.len(), ensemble.columns);
        return Err(LearnError::Model(reason.into()));
    }
    Ok((ensemble, names))
}

/// Takes the trees of a model of the crate, up to the round that early stopping chose.
///
/// # Errors
/// [`LearnError::Model`] if it has no trees of single values and numeric splits.
pub fn ensemble(model: &BoostedModel, link: MarginLink) -> Result<TreeEnsemble, LearnError> {
    let plain = |tree: &::hessboost::tree::RegTree| {
        !tree.is_vector_leaf() && !tree.has_categorical_splits() && tree.linear_leaves().is_none()
    };
    if model.linear().is_some() || !model.trees().iter().all(plain) {
        let reason = "it has splits by categories, or leaves that are not single numbers";
        return Err(LearnError::Model(reason.into()));
    }
    let rounds = model.best_iteration().map_or(usize::MAX, |best| best + 1);
    let used = rounds.saturating_mul(model.trees_per_iteration());
    let parts = model.trees().iter().zip(model.tree_weights());
    let trees = parts.zip(model.tree_outputs()).take(used);
    let trees = trees.map(|((tree, weight), outputs)| EnsembleTree {
        nodes: (0..tree.num_nodes())
            .map(|at| node(tree.node(at), weight))
            .collect(),
        output: outputs.start,
    });
    Ok(TreeEnsemble {
        trees: trees.collect(),
        base: model.base_scores().iter().map(|&b| f64::from(b)).collect(),
        columns: model.n_features(),
        link,
        sum: MarginSum::Single,
    })
}

/// A node as ours; its value is multiplied by the weight of its tree, as in prediction.
fn node(node: &::hessboost::tree::Node, weight: f32) -> EnsembleNode {
    let cover = f64::from(node.sum_hess);
    if node.is_leaf() {
        return EnsembleNode::leaf(f64::from(weight * node.leaf_value), cover);
    }
    EnsembleNode {
        children: [node.left as usize, node.right as usize],
        column: node.split_feature as usize,
        threshold: node.split_cond,
        missing_left: node.default_left,
        ..EnsembleNode::leaf(0.0, cover)
    }
}

/// Writes an ensemble as a model that XGBoost 1.6 and later load. `names` are those of the columns.
///
/// A margin that does not start from 0 gets a first tree of one leaf, because XGBoost keeps where it starts
/// as a probability, in which bits are lost.
///
/// # Errors
/// [`LearnError::Model`] if XGBoost would give other margins, because the ensemble is summed in 64 bits, zeros
/// count as missing, or its sigmoid has a slope.
pub fn write(ensemble: &TreeEnsemble, names: &[String]) -> Result<Vec<u8>, LearnError> {
    refuse_inexact(ensemble)?;
    let softmax = ensemble.link == MarginLink::Softmax;
    let outputs = ensemble.base.len();
    let starts = ensemble.base.iter().enumerate();
    let starts: Vec<EnsembleTree> = starts
        .map(|(output, &base)| EnsembleTree {
            nodes: vec![EnsembleNode::leaf(base, 0.0)],
            output,
        })
        .collect();
    let started = ensemble.base.iter().any(|&base| base != 0.0);
    let trees = starts.iter().filter(|_| started).chain(&ensemble.trees);
    let written: Vec<XgbTree> = trees
        .clone()
        .enumerate()
        .map(|(id, tree)| XgbTree::of(id, tree, ensemble.columns))
        .collect();
    let count = written.len();
    let model = XgbModel {
        gbtree_model_param: XgbForestParam {
            num_parallel_tree: "1".into(),
            num_trees: count.to_string(),
        },
        iteration_indptr: (0..=count).step_by(outputs).collect(),
        tree_info: trees.map(|tree| tree.output).collect(),
        trees: written,
    };
    let objective = match softmax {
        true => serde_json::json!({"name": "multi:softprob",
            "softmax_multiclass_param": {"num_class": outputs.to_string()}}),
        false => serde_json::json!({"name": "binary:logistic",
            "reg_loss_param": {"scale_pos_weight": "1"}}),
    };
    let file = XgbFile {
        learner: XgbLearner {
            attributes: XgbNothing {},
            feature_names: names,
            feature_types: vec!["float"; names.len()],
            gradient_booster: XgbBooster {
                model,
                name: "gbtree",
            },
            learner_model_param: XgbLearnerParam {
                base_score: if softmax { "0" } else { "5E-1" },
                boost_from_average: "1",
                num_class: if softmax {
                    outputs.to_string()
                } else {
                    "0".into()
                },
                num_feature: ensemble.columns.to_string(),
                num_target: "1",
            },
            objective,
        },
        version: [2, 0, 0],
    };
    serde_json::to_vec(&file).map_err(|e| LearnError::Library(e.into()))
}

/// Refuses trees whose margins XGBoost would not give bit by bit.
fn refuse_inexact(ensemble: &TreeEnsemble) -> Result<(), LearnError> {
    let softmax = ensemble.link == MarginLink::Softmax;
    let plain = |tree: &EnsembleTree| !tree.nodes.iter().any(|node| node.zero_missing);
    if ensemble.sum != MarginSum::Single
        || !(softmax || ensemble.link == MarginLink::Logistic(1.0))
        || !ensemble.trees.iter().all(plain)
    {
        let reason =
            "XGBoost would not give the same margins: it sums in 32 bits, and zero is a value";
        return Err(LearnError::Model(reason.into()));
    }
    Ok(())
}

/// The file, as XGBoost's JSON schema has it (<https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html>).
#[derive(Serialize)]
struct XgbFile<'a> {
    learner: XgbLearner<'a>,
    version: [u32; 3],
}

#[derive(Serialize)]
struct XgbLearner<'a> {
    attributes: XgbNothing,
    feature_names: &'a [String],
    feature_types: Vec<&'static str>,
    gradient_booster: XgbBooster,
    learner_model_param: XgbLearnerParam,
    objective: Value,
}

#[derive(Serialize)]
struct XgbNothing {}

#[derive(Serialize)]
struct XgbBooster {
    model: XgbModel,
    name: &'static str,
}

#[derive(Serialize)]
struct XgbModel {
    gbtree_model_param: XgbForestParam,
    iteration_indptr: Vec<usize>,
    tree_info: Vec<usize>,
    trees: Vec<XgbTree>,
}

#[derive(Serialize)]
struct XgbForestParam {
    num_parallel_tree: String,
    num_trees: String,
}

#[derive(Serialize)]
struct XgbLearnerParam {
    base_score: &'static str,
    boost_from_average: &'static str,
    num_class: String,
    num_feature: String,
    num_target: &'static str,
}

/// A tree, a value for each node in every list.
#[derive(Default, Serialize)]
struct XgbTree {
    base_weights: Vec<f32>,
    categories: [i32; 0],
    categories_nodes: [i32; 0],
    categories_segments: [i32; 0],
    categories_sizes: [i32; 0],
    default_left: Vec<u8>,
    id: usize,
    left_children: Vec<i64>,
    loss_changes: Vec<f32>,
    parents: Vec<i64>,
    right_children: Vec<i64>,
    split_conditions: Vec<f32>,
    split_indices: Vec<usize>,
    split_type: Vec<u8>,
    sum_hessian: Vec<f32>,
    tree_param: XgbTreeParam,
}

#[derive(Default, Serialize)]
struct XgbTreeParam {
    num_deleted: String,
    num_feature: String,
    num_nodes: String,
    size_leaf_vector: String,
}

/// The parent of a root.
const NO_PARENT: i64 = i32::MAX as i64;

impl XgbTree {
    fn of(id: usize, tree: &EnsembleTree, columns: usize) -> Self {
        let nodes = &tree.nodes;
        let child = |node: &EnsembleNode, side: usize| match node.is_leaf() {
            true => -1,
            false => node.children[side] as i64,
        };
        let mut parents = vec![NO_PARENT; nodes.len()];
        for (at, node) in nodes.iter().enumerate().filter(|(_, n)| !n.is_leaf()) {
            for child in node.children {
                parents[child] = at as i64;
            }
        }
        let condition = |node: &EnsembleNode| match node.is_leaf() {
            true => node.value as f32,
            false => node.threshold,
        };
        XgbTree {
            base_weights: nodes.iter().map(|node| node.value as f32).collect(),
            default_left: nodes.iter().map(|n| u8::from(n.missing_left)).collect(),
            id,
            left_children: nodes.iter().map(|node| child(node, 0)).collect(),
            loss_changes: vec![0.0; nodes.len()],
            parents,
            right_children: nodes.iter().map(|node| child(node, 1)).collect(),
            split_conditions: nodes.iter().map(condition).collect(),
            split_indices: nodes.iter().map(|node| node.column).collect(),
            split_type: vec![0; nodes.len()],
            sum_hessian: nodes.iter().map(|node| node.cover as f32).collect(),
            tree_param: XgbTreeParam {
                num_deleted: "0".into(),
                num_feature: columns.to_string(),
                num_nodes: nodes.len().to_string(),
                size_leaf_vector: "1".into(),
            },
            ..XgbTree::default()
        }
    }
}
