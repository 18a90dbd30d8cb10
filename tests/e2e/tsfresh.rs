//! The kind `tsfresh` on a survey whose features are known.

use flow_testkit::Project;

/// Two objects with two bands each, out of order in time.
const CURVES: &str = "\
id,mjd,band,flux,err
a,3,r,4,0.5
a,1,r,1,0.5
a,2,r,-3,1.5
a,2,g,10,2
b,1,g,6,3
b,5,g,2,1
";

fn project() -> Project {
    let project = Project::new();
    project.write("objects.csv", "id,class\na,x\nb,y\n");
    project.write("curves.csv", CURVES);
    project.write(
        "pipeline.toml",
        r#"
[stages.ingest]
use = "ingest"
format = "csv"
objects = "objects.csv"
curves = "curves.csv"
bands = ["g", "r"]

[stages.ingest.columns]
object_id = "id"
label = "class"
time = "mjd"
band = "band"
flux = "flux"
flux_err = "err"

[stages.tsfresh]
use = "tsfresh"
inputs = { curves = "ingest" }
"#,
    );
    project
}

fn set(what: &str) -> [String; 2] {
    ["--set".to_owned(), format!("tsfresh.{what}")]
}

/// Runs with parameters, and returns the header and the rows of the features.
fn features(project: &Project, sets: &[&str]) -> (Vec<String>, Vec<Vec<f64>>) {
    let sets: Vec<String> = sets.iter().flat_map(|what| set(what)).collect();
    let args = ["run", "-q", "pipeline.toml"].into_iter();
    let sets = sets.iter().map(String::as_str);
    project.flow(&Vec::from_iter(args.chain(sets))).with(0);
    project
        .flow(&["export", "last", "tsfresh.features", "-o", "features.csv"])
        .with(0);
    let text = project.read("features.csv");
    let mut lines = text.lines();
    let split = |line: &str| line.split(',').skip(1).map(str::to_owned).collect();
    let header = lines.next().map(split).unwrap_or_default();
    let number = |text: &str| text.parse().unwrap_or(f64::NAN);
    let rows = lines.map(|line| line.split(',').skip(1).map(number).collect());
    (header, rows.collect())
}

#[test]
fn columns_are_those_that_are_named_in_the_bands_that_are_named() {
    let project = project();
    let names = "set=[\"mean_change\", \"g__maximum\", \"r__quantile__q_0.2\"]";
    let (header, rows) = features(&project, &[names]);
    let expected = [
        "g__mean_change",
        "g__maximum",
        "r__mean_change",
        "r__quantile__q_0.2",
    ];
    assert_eq!(header, expected);
    // In the order of times, r of `a` is 1, -3, 4.
    let close = |found: f64, expected: f64| (found - expected).abs() < 1e-6;
    assert!(rows[0][0].is_nan() && rows[0][1] == 10.0, "{rows:?}");
    assert!(
        close(rows[0][2], 1.5) && close(rows[0][3], -1.4),
        "{rows:?}"
    );
    assert!(rows[1][0] == -4.0 && rows[1][1] == 6.0, "{rows:?}");
    assert!(rows[1][2].is_nan() && rows[1][3].is_nan(), "{rows:?}");
}

#[test]
fn errors_and_ratios_are_series_too() {
    let project = project();
    for (value, series, sum) in [
        ("flux", "r", 2.0),
        ("err", "r_err", 2.5),
        ("snr", "r_snr", 8.0),
    ] {
        let value = format!("value=\"{value}\"");
        let (header, rows) = features(&project, &["set=[\"sum_values\"]", &value]);
        assert_eq!(header[1], format!("{series}__sum_values"));
        assert_eq!(rows[0][1], sum, "{value}");
    }
    let (header, _) = features(&project, &["set=\"minimal\""]);
    assert_eq!(header.len(), 20);
}

#[test]
fn names_that_are_unknown_are_refused() {
    let project = project();
    for (names, code, word) in [
        ("[]", "flow::params::tsfresh", "empty"),
        ("[\"abs_energi\"]", "flow::params::tsfresh", "abs_energy"),
        (
            "[\"quantile__q_0.15\"]",
            "flow::params::tsfresh",
            "quantile__q_0.1",
        ),
        ("[\"r__abs_energi\"]", "flow::params::tsfresh", "abs_energi"),
        ("[\"u__abs_energy\"]", "flow::data::no_series", "`g`, `r`"),
        ("\"maximal\"", "flow::params::", "minimal"),
    ] {
        let [flag, names] = set(&format!("set={names}"));
        let run = project.flow(&[
            "run",
            "-q",
            "pipeline.toml",
            "--color",
            "never",
            &flag,
            &names,
        ]);
        let text = run.with(2).stderr;
        assert!(
            text.contains(code) && text.contains(word),
            "{names}: {text}"
        );
        assert!(!text.contains("panicked"), "{text}");
    }
}
