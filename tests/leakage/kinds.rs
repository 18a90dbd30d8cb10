//! Kinds that leak, each in one way, and honest ones that look like them.

use std::io::Write as _;

use flow_cache::{Digest, Value};
use flow_engine::kind::{Action, From, PortType, Registry, Rows, Scope, StageError, Step};
use flow_stages::rows::{self, ApplyRows, CopyRows, TrainRows, UnlabelledRows};
use flow_stages::table::{
    Curves, FeatureTable, FeatureWriter, Folds, Objects, Predictions, ids_digest, row_attrs,
};
use flow_testkit::kinds::FakeKind;

/// A kind that takes one reference of each type (under the type's name) and gives `output`, by the
/// last step.
fn kind(name: &'static str, inputs: &[PortType], output: PortType, steps: Vec<Step>) -> FakeKind {
    let last = steps.len() - 1;
    let kind = FakeKind::new(name, steps);
    let kind = inputs.iter().fold(kind, |kind, ty| kind.one(ty, ty));
    kind.gives(output, output, last)
}

fn step(name: &'static str, scope: Scope) -> Step {
    Step::new(name, scope)
}

/// The built-in kinds and these.
pub fn registry() -> Registry {
    let mut registry = flow_neural::kinds::registry_with(vec![env!("CARGO_BIN_EXE_flow").into()]);
    let mut add = |kind: FakeKind| registry.add(kind);

    // Row by row.
    let steps = vec![
        step("apply", Scope::Shard)
            .port("curves")
            .writes("features"),
    ];
    add(kind("flux", &["curves"], "features", steps).runs(flux));
    let steps = vec![
        step("turn", Scope::Shard)
            .port("predictions")
            .writes("features"),
    ];
    add(kind("turned", &["predictions"], "features", steps).runs(turned));

    // Scaling: by the rows of the fold, by all of them at once, by all of them and then row by row.
    let scaled = || {
        step("apply", Scope::Shard)
            .port("features")
            .after(0, "scale")
            .writes("features")
    };
    let fit = |scope| step("fit", scope).writes("scale");
    let ports = &["features", "folds"];
    let steps = vec![fit(Scope::Fold).rows("features", Rows::Train), scaled()];
    add(kind("scale_fold", ports, "features", steps).runs(scale));
    let steps = vec![fit(Scope::Whole).port("features"), scaled()];
    add(kind("scale_all", &["features"], "features", steps).runs(scale));
    let steps = vec![fit(Scope::Fold).port("features"), scaled()];
    add(kind("scale_peek", ports, "features", steps).runs(scale));

    // Selection on all rows, seen through a view.
    let steps = vec![step("fit", Scope::Whole).port("features").writes("columns")];
    let select = FakeKind::new("select_all", steps).one("features", "features");
    add(select.views("features", "features", "columns"));

    // Corrections of out-of-fold predictions.
    let correct = || {
        step("correct", Scope::Whole)
            .port("predictions")
            .writes("predictions")
    };
    let predictions = &["predictions"];
    let same = |name, step| kind(name, predictions, "predictions", vec![step]).runs(passed_on);
    add(same("corrected", correct().crossed()));
    add(same("calibrate_all", correct()));
    let shifted = vec![correct().apart()];
    add(kind("shifted", predictions, "predictions", shifted).runs(shift));

    // Models that are applied to what they saw.
    let steps = vec![
        step("all", Scope::Whole)
            .port("curves")
            .writes("predictions"),
    ];
    add(kind("lookup", &["curves"], "predictions", steps));
    let model = || {
        step("fit", Scope::Fold)
            .rows("features", Rows::Train)
            .writes("model")
    };
    let apply = || {
        step("apply", Scope::FoldShard)
            .rows("features", Rows::Apply)
            .after(0, "model")
            .writes("part")
    };
    let steps = vec![
        model(),
        step("apply", Scope::Whole)
            .after(0, "model")
            .port("features")
            .writes("predictions"),
    ];
    add(kind("final_fit", ports, "predictions", steps));
    let steps = vec![
        model(),
        step("best", Scope::Whole).after(0, "model").writes("model"),
        step("apply", Scope::FoldShard)
            .rows("features", Rows::Apply)
            .after(1, "model")
            .writes("part"),
        step("gather", Scope::Whole)
            .after(2, "part")
            .port("folds")
            .writes("predictions"),
    ];
    add(kind("best_fold", ports, "predictions", steps));
    let gather = || {
        step("gather", Scope::Whole)
            .after(1, "part")
            .port("folds")
            .writes("predictions")
    };
    let steps = || vec![model(), apply(), gather()];
    add(kind("prior", ports, "predictions", steps()).runs(prior));
    add(kind("greedy", ports, "predictions", steps()).runs(greedy));
    add(kind("careless", ports, "predictions", steps()).runs(careless));

    add(same("own_labels", correct().crossed()).runs(own_labels));

    // Copies: as objects of a survey, as predictions; and a model that looks at what it is given besides its rows.
    let steps = vec![step("list", Scope::Shard).port("curves").writes("objects")];
    add(kind("listed", &["curves"], "objects", steps));
    let steps = vec![
        step("guess", Scope::Shard)
            .port("curves")
            .writes("predictions"),
    ];
    add(kind("guess", &["curves"], "predictions", steps));
    let fit = model()
        .rows("augmented", Rows::Copies)
        .rows("unlabelled", Rows::Unlabelled);
    let careful = FakeKind::new("careful", vec![fit, apply(), gather()])
        .one("features", "features")
        .one("augmented", "features")
        .one("unlabelled", "features")
        .one("folds", "folds")
        .gives("predictions", "predictions", 2);
    add(careful.runs(careful_prior));

    // Groups that are known and torn apart.
    let steps = vec![step("assign", Scope::Whole).port("objects").writes("folds")];
    let torn = kind("torn_folds", &["objects"], "folds", steps);
    add(torn.folds(&["0.0", "0.1", "final"]).runs(torn_folds));
    registry
}

/// The largest flux and its noise.
fn flux(action: &mut Action<'_>) -> Result<(), StageError> {
    let curves = Curves::read(&action.one("curves")?.path)?;
    let columns = ["max".to_owned(), "first".to_owned()];
    let mut writer = FeatureWriter::new(action.create()?, &columns)?;
    for i in 0..curves.len() {
        let flux = &curves.flux[curves.offsets[i]..curves.offsets[i + 1]];
        let max = flux.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let id = &curves.objects.object_id[i..=i];
        writer.push(id, &[max as f32, flux[0] as f32])?;
    }
    let attrs = row_attrs(&curves.objects.object_id);
    action.finish("features", writer.finish()?, attrs)
}

/// Predictions as features.
fn turned(action: &mut Action<'_>) -> Result<(), StageError> {
    let predictions = Predictions::read(&action.one("predictions")?.path)?;
    let mut writer = FeatureWriter::new(action.create()?, &["p".to_owned()])?;
    for (i, id) in predictions.object_id.iter().enumerate() {
        writer.push(&[id], &[predictions.probability[0][i] as f32])?;
    }
    action.finish("features", writer.finish()?, Vec::new())
}

/// Divides all features by the mean of the first over the rows that the fit saw.
fn scale(action: &mut Action<'_>) -> Result<(), StageError> {
    if action.step == 0 {
        let rows = TrainRows::read(action)?;
        let first = rows.features.transposed(&[0]);
        let mean = first.iter().sum::<f32>() / first.len() as f32;
        return action.write("scale", &mean.to_le_bytes(), Vec::new());
    }
    let bytes = std::fs::read(&action.one("scale")?.path)?;
    let mean = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let table = FeatureTable::open(&action.one("features")?.path)?;
    let mut writer = FeatureWriter::new(action.create()?, table.columns())?;
    for i in 0..table.rows() {
        let row: Vec<f32> = table.row(i).iter().map(|v| v / mean).collect();
        writer.push(&table.object_ids()[i..=i], &row)?;
    }
    let attrs = row_attrs(table.object_ids());
    action.finish("features", writer.finish()?, attrs)
}

fn passed_on(action: &mut Action<'_>) -> Result<(), StageError> {
    rewritten(action, |_| {})
}

/// Says of every row that the next fold held it out.
fn shift(action: &mut Action<'_>) -> Result<(), StageError> {
    rewritten(action, |rows| {
        let k = rows.fold.iter().flatten().max().copied().unwrap_or(0) + 1;
        for fold in rows.fold.iter_mut().flatten() {
            *fold = (*fold + 1) % k;
        }
    })
}

/// Says of objects without a label that fold 0 held them out, and what they are.
fn own_labels(action: &mut Action<'_>) -> Result<(), StageError> {
    rewritten(action, |rows| {
        for i in 0..rows.len() {
            if rows.label[i].is_none() {
                rows.fold[i] = Some(0);
                rows.label[i] = Some("A".into());
            }
        }
    })
}

fn rewritten(action: &mut Action<'_>, change: impl Fn(&mut Predictions)) -> Result<(), StageError> {
    let mut rows = Predictions::read(&action.one("predictions")?.path)?;
    change(&mut rows);
    let mut writer = action.create()?;
    rows.write(&mut writer)?;
    action.finish("predictions", writer, Vec::new())
}

/// A model that predicts the share of positives among its training rows.
fn prior(action: &mut Action<'_>) -> Result<(), StageError> {
    match action.step {
        0 => share(action),
        1 => {
            let ids = ApplyRows::read(action)?.object_id;
            part(action, ids)
        }
        _ => rows::gather(action, "part", "predictions"),
    }
}

/// The same, of all rows in the tables rather than those it is asked for.
fn greedy(action: &mut Action<'_>) -> Result<(), StageError> {
    match action.step {
        1 => {
            let table = FeatureTable::open(&action.one("features")?.path)?;
            part(action, table.object_ids().to_vec())
        }
        _ => prior(action),
    }
}

/// The same, joined by its own hand.
fn careless(action: &mut Action<'_>) -> Result<(), StageError> {
    if action.step < 2 {
        return greedy(action);
    }
    let folds = Folds::read(&action.one("folds")?.path)?;
    let mut all: Option<Predictions> = None;
    for part in action.input("part") {
        let Some((_, fold)) = rows::parse(part.fold.as_deref().unwrap_or(rows::FINAL))? else {
            continue;
        };
        let mut rows = Predictions::read(&part.path)?;
        rows.fold.fill(Some(fold));
        for (id, label) in rows.object_id.iter().zip(&mut rows.label) {
            let at = folds.object_id.binary_search(id).expect("a known object");
            label.clone_from(&folds.label[at]);
        }
        match &mut all {
            None => all = Some(rows),
            // One row an object, as `evaluate` wants it: the first fold has them all.
            Some(_) => break,
        }
    }
    let mut writer = action.create()?;
    all.expect("a part").write(&mut writer)?;
    action.finish("predictions", writer, Vec::new())
}

/// The same as `prior`. It fails unless a fit is given two copies of each of its training rows, and every object
/// without a label.
fn careful_prior(action: &mut Action<'_>) -> Result<(), StageError> {
    if action.step > 0 {
        return prior(action);
    }
    let rows = TrainRows::read(action)?;
    let copies = CopyRows::read(action, None)?.expect("copies");
    let expected = rows
        .object_id
        .iter()
        .flat_map(|id| [rows::copy_id(id, 1), rows::copy_id(id, 2)]);
    let mut expected: Vec<String> = expected.collect();
    expected.sort();
    assert_eq!(copies.object_id, expected);
    let label = |id: &str| {
        let source = &id[..id.len() - 2];
        let at = rows.object_id.iter().position(|known| known == source);
        rows.label[at.expect("a training row")]
    };
    let labels: Vec<usize> = expected.iter().map(|id| label(id)).collect();
    assert_eq!(copies.label, labels);
    let unlabelled = UnlabelledRows::read(action, None)?.expect("rows");
    assert_eq!(unlabelled.object_id, ["o56", "o57", "o58", "o59"]);
    share(action)
}

fn share(action: &mut Action<'_>) -> Result<(), StageError> {
    let rows = TrainRows::read(action)?;
    let positive = rows::binary_labels(&rows)?;
    let share = positive.iter().sum::<usize>() as f64 / positive.len() as f64;
    action.write("model", &share.to_le_bytes(), Vec::new())
}

fn part(action: &mut Action<'_>, object_id: Vec<String>) -> Result<(), StageError> {
    let bytes = std::fs::read(&action.one("model")?.path)?;
    let share = f64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    let n = object_id.len();
    let part = Predictions {
        classes: vec!["A".into()],
        positive: Some("A".into()),
        repeat: vec![0; n],
        fold: vec![None; n],
        label: vec![None; n],
        probability: vec![vec![share; n]],
        object_id,
    };
    let attrs = row_attrs(&part.object_id);
    let mut writer = action.create()?;
    part.write(&mut writer)?;
    action.finish("part", writer, attrs)
}

/// Deals objects into two folds by fours, whatever their groups.
fn torn_folds(action: &mut Action<'_>) -> Result<(), StageError> {
    let objects = Objects::read(&action.one("objects")?.path)?;
    let n = objects.len();
    let folds = Folds {
        classes: vec!["A".into(), "B".into()],
        positive: Some("A".into()),
        object_id: objects.object_id.clone(),
        label: objects.label.clone(),
        raw_label: Vec::new(),
        group: objects.group.clone(),
        repeats: vec![(0..n).map(|i| Some((i / 4 % 2) as i32)).collect()],
    };
    let Value::Str(ids) = ids_digest(&objects.object_id) else {
        unreachable!("a digest as text")
    };
    let mut slices = Vec::new();
    for name in ["0.0", "0.1", "final"] {
        for role in [Rows::Train, Rows::Apply] {
            let rows = rows::rows_of(&folds, rows::parse(name)?, role);
            if rows.is_empty() {
                continue;
            }
            let text: String = rows.iter().map(|i| folds.object_id[*i].as_str()).collect();
            let digest = Value::Digest(Digest::of(text.as_bytes()));
            let entries = [("*", digest.clone()), (ids.as_str(), digest)];
            slices.push((format!("{}/{name}", role.name()), Value::map(entries)));
        }
    }
    let attrs = vec![
        ("rows".to_owned(), Value::Int(n as i64)),
        (
            "shards".to_owned(),
            Value::map([(ids, Value::Int(n as i64))]),
        ),
        ("slices".to_owned(), Value::map(slices)),
    ];
    let mut writer = action.create()?;
    folds.write(&mut writer)?;
    writer.flush()?;
    action.finish("folds", writer, attrs)
}

/// Every read of a step is of an input that the kind has: a slip here would test nothing.
#[test]
fn the_kinds_are_sound() {
    for (name, kind) in registry().iter() {
        let spec = kind.spec();
        let known = |port: &String| spec.ports.inputs.iter().any(|input| input.name == *port);
        for read in spec.steps.iter().flat_map(|step| &step.reads) {
            let sound = match &read.from {
                From::Port(port) => known(port),
                From::Step(step, output) => spec.steps[*step].writes.iter().any(|w| w == output),
            };
            assert!(sound, "{name}: {read:?}");
        }
    }
}
