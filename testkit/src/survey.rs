//! Small surveys in CSV files.

use std::fmt::Write as _;

use crate::Project;

/// A text of lines: a head, and rows.
pub fn csv(head: &str, rows: impl IntoIterator<Item = String>) -> String {
    let rows = rows.into_iter().map(|row| row + "\n");
    [format!("{head}\n")].into_iter().chain(rows).collect()
}

/// A survey with other column names than MALLORN's, four bands and several classes: how large it is.
pub struct Survey {
    /// Labelled objects a file.
    pub labelled: usize,
    /// Unlabelled objects in the last file.
    pub unlabelled: usize,
    /// Objects of a further file, all unlabelled; none for no file.
    pub extra_unlabelled: usize,
    /// The class that counts as positive; empty for macro metrics.
    pub positive: &'static str,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            labelled: 60,
            unlabelled: 20,
            extra_unlabelled: 0,
            positive: "Ia",
        }
    }
}

/// The classes in turn, with the time scales of their declines in days.
const CLASSES: [(&str, f64); 4] = [
    ("Ia-norm", 15.0),
    ("II-P", 60.0),
    ("KN", 4.0),
    ("Ia-91T", 20.0),
];

impl Survey {
    /// The default one, with another positive class, or with none.
    pub fn of(positive: &'static str) -> Self {
        Self {
            positive,
            ..Self::default()
        }
    }

    /// A project with the survey and its pipeline, `survey.toml`.
    pub fn project(&self) -> Project {
        let project = Project::new();
        self.write(&project);
        project
    }

    /// Writes the survey and its pipeline, in place of one that is there.
    pub fn write(&self, project: &Project) {
        let mut objects = String::from("name,z_final,mwebv,sim_type\n");
        let mut number = 0;
        let mut file = |index: usize, labelled: usize, unlabelled: usize| {
            let mut curves = String::from("name,jd,filter,fluxcal,fluxcal_err\n");
            for i in 0..labelled + unlabelled {
                let label = if i < labelled {
                    CLASSES[number % 4].0
                } else {
                    ""
                };
                let (z, ebv) = (1 + number % 5, number % 7);
                let _ = writeln!(objects, "obj{number:04},0.{z}{},0.0{ebv},{label}", i % 10);
                measure(number, &mut curves);
                number += 1;
            }
            project.write(&format!("data/curves_{index}.csv"), curves);
        };
        file(0, self.labelled, 0);
        file(1, self.labelled, self.unlabelled);
        if self.extra_unlabelled > 0 {
            file(2, 0, self.extra_unlabelled);
        }
        project.write("data/objects.csv", objects);
        let positive = match self.positive {
            "" => String::new(),
            class => format!("positive = \"{class}\"\n"),
        };
        project.write("survey.toml", PIPELINE.replace("POSITIVE\n", &positive));
    }
}

/// The light curve of an object: an exponential decline whose time scale tells the class.
fn measure(number: usize, curves: &mut String) {
    let (_, scale) = CLASSES[number % 4];
    for visit in 0..30 {
        let time = f64::from(visit) * 4.0;
        let band = ["g", "r", "i", "z"][visit as usize % 4];
        let wobble = ((number * 31 + visit as usize * 17) % 23) as f64 / 23.0 - 0.5;
        let flux = if time < 20.0 {
            0.0
        } else {
            50.0 * (-(time - 20.0) / scale).exp()
        };
        let (jd, flux) = (59000.0 + time, flux + wobble);
        let _ = writeln!(curves, "obj{number:04},{jd},{band},{flux:.4},1.0");
    }
}

const PIPELINE: &str = r#"[pipeline]
name = "survey"

[stages.ingest]
use = "ingest"
format = "csv"
curves = "data/curves_*.csv"
objects = "data/objects.csv"
bands = ["g", "r", "i", "z"]
POSITIVE

[stages.ingest.columns]
object_id = "name"
time = "jd"
band = "filter"
flux = "fluxcal"
flux_err = "fluxcal_err"
label = "sim_type"
redshift = "z_final"
ebv = "mwebv"

[stages.ingest.classes]
Ia = ["Ia", "Ia-*"]
KN = "KN"
other = "*"

[stages.deredden]
use = "extinction"
inputs = { curves = "ingest" }

[stages.domain]
use = "domain"
inputs = { curves = "deredden" }

[stages.folds]
use = "folds"
inputs = { objects = "ingest" }
k = 3

[stages.model]
use = "model"
inputs = { features = "domain", folds = "folds" }
target = "classes"
rounds = 20

[stages.evaluate]
use = "evaluate"
inputs = { predictions = "model" }

[stages.submission]
use = "submission"
inputs = { predictions = "model", threshold = "evaluate.threshold" }

[outputs]
"out/submission.csv" = "submission"
"#;
