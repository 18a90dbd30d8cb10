//! What is wrong with a class, its parameters or what it gives.

use super::*;

#[test]
fn an_interpreter_or_package_that_is_missing_is_told_with_a_remedy() {
    let project = project("no-python", "");
    fails(
        &project,
        &[],
        2,
        "interpreter",
        &["no interpreter `no-python`", ".venv/bin/python"],
    );
    let Some(python) = python(&["numpy", "pyarrow"]) else {
        return;
    };
    let project = self::project(&python, "");
    let install = format!("{python} -m pip install no_such_package");
    let set = "model.class=\"no_such_package.Model\"";
    fails(
        &project,
        &[set],
        2,
        "package",
        &["no package `no_such_package`", &install],
    );
    // One that only the file of the class needs.
    project.append("classes.py", "import no_such_package\n");
    project.write("requirements.txt", "no_such_package\n");
    let pins = "model.requirements=\"requirements.txt\"";
    let install = format!("{python} -m pip install -r requirements.txt");
    fails(
        &project,
        &[pins],
        2,
        "package",
        &["no package `no_such_package`", &install],
    );
}

#[test]
fn a_class_that_is_not_there_or_cannot_be_made_is_told() {
    let Some(python) = python(&["numpy", "pyarrow"]) else {
        return;
    };
    let project = project(&python, "");
    fails_with(
        &project,
        "Soudn",
        2,
        "class",
        &["no class `Soudn`", "did you mean `Sound`"],
    );
    fails(
        &project,
        &["model.class=\"Sound\""],
        2,
        "class",
        &["`Sound` is not the name of a class"],
    );
    fails(
        &project,
        &["model.class=\"numpy.linear.X\""],
        2,
        "class",
        &["no module `numpy.linear`"],
    );
    let set = "model.params={ pwoer = 2 }";
    fails(
        &project,
        &[set],
        2,
        "parameter",
        &["no parameter `pwoer`", "did you mean `power`"],
    );
    fails_with(
        &project,
        "Labels",
        2,
        "method",
        &["no method `predict_proba`"],
    );
    let weight = "model.class_weight=\"balanced\"";
    let class = "model.class=\"classes.py:Unweighted\"";
    fails(
        &project,
        &[weight, class],
        2,
        "weights",
        &["takes no `sample_weight`"],
    );
    let weight = "model.class_weight={ TDEs = 2 }";
    fails(
        &project,
        &[weight],
        2,
        "weights",
        &["names `TDEs`", "the classes are"],
    );
}

#[test]
fn an_estimator_that_gives_no_probabilities_is_told() {
    let Some(python) = python(&["numpy", "pyarrow"]) else {
        return;
    };
    let project = project(&python, "");
    for (class, code, words) in [
        (
            "NotFinite",
            "not_finite",
            "NaN or infinity for 1 of 50 rows",
        ),
        ("Narrow", "shape", "shape (50,), and (50, 2) is wanted"),
        ("Short", "shape", "shape (49, 2), and (50, 2) is wanted"),
        ("Ragged", "shape", "(50, 2) is wanted"),
        ("Scores", "probabilities", "below 0 or above 1"),
        (
            "Unsummed",
            "probabilities",
            "do not sum to 1 for 50 of 50 rows",
        ),
        (
            "Raises",
            "raised",
            "RuntimeError: no convergence after 100 steps",
        ),
    ] {
        fails_with(&project, class, 1, code, &[words]);
    }
    let said = run(&project, &["model.class=\"classes.py:Raises\""]).with(1);
    said.says("in deeper");
    said.says("File \"classes.py\", line");
    // What a class may not read is told like that of any program.
    project.write("more.txt", "");
    project.append("classes.py", "open('more.txt')\n");
    let words = ["No such file", "files = [\"classes.py\", \"more.txt\"]"];
    fails(&project, &[], 1, "raised", &words);
}

#[test]
fn a_parameter_that_a_booster_only_warns_about_is_told() {
    let Some(python) = python(&["lightgbm", "xgboost", "sklearn", "pyarrow"]) else {
        return;
    };
    let project = project(&python, "");
    for (class, wrong, meant) in [
        ("lightgbm.LGBMClassifier", "num_leavs", "num_leaves"),
        ("xgboost.XGBClassifier", "max_dept", "max_depth"),
    ] {
        let class = format!("model.class={class:?}");
        let params = format!("model.params={{ {wrong} = 4, verbosity = 0 }}");
        let words = [
            format!("no parameter `{wrong}`"),
            format!("did you mean `{meant}`"),
        ];
        fails(
            &project,
            &[&class, &params],
            2,
            "parameter",
            &words.each_ref().map(String::as_str),
        );
    }
}
