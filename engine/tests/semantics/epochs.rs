//! A kind that works in epochs: what it reports of its progress.

use flow_engine::kind::{Action, ParamSpec, Scope, StageError, Step};
use flow_engine::run::options::Executor;
use flow_testkit::kinds::FakeKind;

use crate::harness::Project;
use crate::process::executor;

/// `epochs`: counts to `epochs`.
pub fn kind() -> FakeKind {
    let step = Step::new("fit", Scope::Whole).writes("rows");
    FakeKind::new("epochs", vec![step])
        .gives("rows", "rows", 0)
        .takes(ParamSpec::int("epochs", 3, 1, 1000, "How far it counts."))
        .runs(fit)
}

fn fit(action: &mut Action<'_>) -> Result<(), StageError> {
    let epochs = action.params.read::<i64>("epochs") as u64;
    let mut sum = 0;
    action.progress(0, epochs);
    for epoch in 1..=epochs {
        action.checkpoint()?;
        sum += epoch;
        let loss = 1.0 / epoch as f64;
        let figures = [("loss", loss), ("a \"name\"", f64::INFINITY)];
        action.progress_with(epoch, epochs, &figures);
    }
    action.write("rows", format!("{sum}\n").as_bytes(), Vec::new())
}

#[test]
fn figures_of_the_progress_reach_the_run() {
    for executor in [Executor::Local, executor()] {
        let mut project = Project::new("[stages.fit]\nuse = \"epochs\"\n");
        project.executor = executor;
        let ran = project.expect(&["fit: fit"]);
        let [first, .., last] = ran.progress.as_slice() else {
            panic!("{:?}", ran.progress)
        };
        assert_eq!((first.done, first.total, first.figures.len()), (0, 3, 0));
        assert_eq!((last.done, last.total), (3, 3));
        let [(loss, third), (name, infinite)] = last.figures.as_slice() else {
            panic!("{last:?}")
        };
        assert_eq!((loss.as_str(), *third), ("loss", 1.0 / 3.0));
        assert_eq!((name.as_str(), infinite.is_nan()), ("a \"name\"", true));
    }
}
