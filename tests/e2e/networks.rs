//! What networks cannot learn from ends with a diagnostic that says what to try, and what they can but hardly should is
//! noted.

use flow_stages::table::Sequences;
use flow_testkit::Project;
use flow_testkit::survey::Survey;

/// A survey with a network as its model, which reads sequences.
fn project(model: &str) -> Project {
    let project = Survey::default().project();
    project.write(
        "net.toml",
        format!(
            r#"[pipeline]
name = "net"
extends = "survey.toml"

[stages.sequences]
use = "sequences"
inputs = {{ curves = "ingest" }}
points = 8

[stages.model]
use = "network"
inputs = {{ sequences = "sequences", folds = "folds" }}
target = "classes"
{model}
"#
        ),
    );
    project
}

const SMALL: &str =
    "architecture = \"cnn\"\nchannels = [4]\nhidden = [4]\nepochs = 2\nearly_stopping = 0\n";

/// Runs the pipeline, which is refused or fails for what it reads, and checks what is said.
fn refused(project: &Project, says: [&str; 3]) {
    let ended = project.flow(&["run", "-q", "net.toml", "--color", "never"]);
    let ended = ended.with(2);
    for part in says {
        ended.says(part);
    }
}

/// A table of sequences for the objects of the survey, none of which has a point.
fn without_points() -> Vec<u8> {
    let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<_>>();
    let (tracks, channels) = (names(&["all"]), names(&["time", "flux"]));
    let mut writer = Sequences::writer(Vec::new(), &tracks, 8, &channels).expect("a writer");
    let objects: Vec<String> = (0..140).map(|i| format!("obj{i:04}")).collect();
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    let values = vec![f32::NAN; objects.len() * 8 * channels.len()];
    writer.push(&objects, &values).expect("rows");
    writer.finish().expect("a table")
}

#[test]
fn sequences_without_points_are_refused() {
    let project = project(SMALL);
    project.write("made.arrow", without_points());
    project.replace(
        "net.toml",
        "use = \"sequences\"\ninputs = { curves = \"ingest\" }\npoints = 8",
        "use = \"command\"\nrun = [\"cp\", \"made.arrow\", \"{sequences}\"]\nfiles = [\"made.arrow\"]\noutputs = { sequences = \"made.arrow\" }",
    );
    refused(
        &project,
        [
            "flow::neural::rows",
            "none of the 80 training rows has an observation in its sequence",
            "help: look at what makes the sequences, or add `features`",
        ],
    );
    // With features, there is something to learn from.
    project.replace(
        "net.toml",
        "sequences = \"sequences\", folds",
        "sequences = \"sequences\", features = \"domain\", folds",
    );
    project.flow(&["run", "-q", "net.toml"]).with(0);
}

#[test]
fn a_class_with_one_member_is_no_class_to_the_fold_that_holds_it_out() {
    let project = project(SMALL);
    let mut seen = 0;
    let objects = project.read("data/objects.csv");
    let lines = objects.lines().map(|line| {
        seen += usize::from(line.contains("Ia-"));
        let line = match seen {
            1 => line.replace("KN", "II-P"),
            _ => line
                .replace("Ia-norm", "II-P")
                .replace("Ia-91T", "II-P")
                .replace("KN", "II-P"),
        };
        line + "\n"
    });
    let lines: String = lines.collect();
    project.write("data/objects.csv", lines);
    refused(
        &project,
        [
            "flow::neural::rows",
            "training rows are of one class (other), and a network needs two",
            "help: a class needs rows in two folds or more",
        ],
    );
}

#[test]
fn sizes_that_do_not_fit_and_losses_that_grow_say_what_to_change() {
    let heads = project("architecture = \"transformer\"\nheads = 5\n");
    refused(
        &heads,
        [
            "flow::neural::misfit",
            "5 heads cannot share a width of 32",
            "help: change the sizes of the network, or leave them out",
        ],
    );
    let tracks = project("architecture = \"gru_attention\"\nepochs = 1\nearly_stopping = 0\n");
    refused(
        &tracks,
        [
            "flow::neural::misfit",
            "4 tracks",
            "help: change the sizes of the network, or the `sequences` stage",
        ],
    );
    let steep = "learning_rate = 10.0\nweight_decay = 10.0\n";
    let steep = project(&SMALL.replace("epochs = 2\n", &format!("epochs = 200\n{steep}")));
    refused(
        &steep,
        [
            "flow::neural::diverged",
            "is no finite number any more in epoch",
            "help: lower `learning_rate`, or set `clip_norm = 1.0`",
        ],
    );
}

#[test]
fn a_batch_that_is_larger_than_the_data_is_noted() {
    let project = project(&format!("{SMALL}batch_size = 1000\n"));
    let said = "`batch_size` is 1000, and 4 of 4 fits have fewer rows, the smallest 80";
    // The second run finds all of it in the store.
    for _ in 0..2 {
        let text = project
            .flow(&["run", "net.toml", "--color", "never"])
            .with(0);
        assert!(text.words().contains(said), "{}", text.all());
    }
    // Early stopping holds rows out, and none of them is in a batch.
    let held_out = ["--set", "model.early_stopping=1"];
    let args = [&["run", "net.toml", "--color", "never"][..], &held_out].concat();
    let text = project.flow(&args).with(0);
    assert!(text.words().contains("the smallest 68"), "{}", text.all());
    project.replace("net.toml", "batch_size = 1000", "batch_size = 16");
    let text = project
        .flow(&["run", "net.toml", "--color", "never"])
        .with(0);
    assert!(!text.all().contains("fewer rows"), "{}", text.all());
}
