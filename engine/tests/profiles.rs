//! Profiles: what they say of a run, and what is said of mistakes in them.

use std::ffi::OsStr;
use std::time::Duration;

use flow_engine::Diag;
use flow_engine::profile::Profile;
use flow_engine::run::cluster::options::{Asked, SchedulerChoice, WithMore};
use flow_testkit::Project;

fn read(text: &str) -> Result<Profile, Vec<Diag>> {
    let project = Project::in_memory("");
    project.write("profiles/site.toml", text);
    Profile::read(&project.root, "site", &project.root)
}

#[test]
fn a_profile_becomes_options() {
    let profile = read(
        r#"
        [executor]
        use = "slurm"
        task_minutes = 5
        most_tasks = 30
        memory = "2GiB"
        time = "2h"
        ask_seconds = 20
        visible_seconds = 0
        program = "/shared/flow"
        container = ["apptainer", "exec", "a.sif"]
        before = ["module load gcc"]
        qos = "low"
        partition = "short"
        options = ["--exclusive"]
        [retry]
        out_of_memory = { times = 5, memory = 1.5 }
        preempted = 7
        [stages.model.resources]
        cpus = 4
        memory = "8GiB"
        gpus = 1
        timeout = "30min"
        "#,
    )
    .unwrap();
    assert_eq!(profile.executor.as_deref(), Some("slurm"));
    let options = profile.cluster("slurm", OsStr::new("/bin/flow")).unwrap();
    let SchedulerChoice::Slurm(site) = &options.scheduler else {
        panic!("{:?}", options.scheduler);
    };
    assert_eq!(
        site.options,
        ["--partition=short", "--qos=low", "--exclusive"]
    );
    assert_eq!(
        options.command,
        ["apptainer", "exec", "a.sif", "/shared/flow", "stage-exec"]
    );
    assert_eq!(options.before, ["module load gcc"]);
    assert_eq!(
        (options.task_time, options.most_tasks),
        (Duration::from_secs(300), 30)
    );
    assert_eq!(
        (options.memory, options.time),
        (2 << 30, Some(Duration::from_secs(7_200)))
    );
    assert_eq!(
        (options.ask_after, options.visible_within),
        (Duration::from_secs(20), Duration::ZERO)
    );
    assert_eq!(
        options.retry.out_of_memory,
        WithMore {
            times: 5,
            factor: 1.5
        }
    );
    assert_eq!((options.retry.preempted, options.retry.cancelled), (7, 0));
    let model = Asked {
        cpus: Some(4),
        memory: Some(8 << 30),
        gpus: Some(1),
        timeout: Some(Duration::from_secs(1_800)),
    };
    assert_eq!(options.stages["model"], model);
    // HyperQueue does not know the words of Slurm.
    let options = profile.cluster("hq", OsStr::new("/bin/flow")).unwrap();
    let SchedulerChoice::Hq(site) = &options.scheduler else {
        panic!("{:?}", options.scheduler);
    };
    assert_eq!(site.options, ["--exclusive"]);
}

#[test]
fn commands_of_a_profile_are_groups_of_words() {
    let profile = read(
        "[executor]\nsubmit = [\"qsub\", [\"-l\", \"mem={memory_mb}\"], \"{script}\"]\nstatus = [\"qstat\"]\n\
         cancel = [\"qdel\", \"{ids}\"]\nindex = \"PBS_ARRAY_INDEX\"\nstates = { Q = \"waiting\" }\n",
    )
    .unwrap();
    assert_eq!(profile.executor, None);
    let options = profile.cluster("command", OsStr::new("/bin/flow")).unwrap();
    let SchedulerChoice::Command(templates) = &options.scheduler else {
        panic!("{:?}", options.scheduler);
    };
    assert_eq!(templates.submit.len(), 3);
    assert_eq!(templates.submit[1], ["-l", "mem={memory_mb}"]);
    assert_eq!(
        (templates.index.as_str(), templates.states["Q"].as_str()),
        ("PBS_ARRAY_INDEX", "waiting")
    );
    let missing = Profile::default()
        .cluster("command", OsStr::new("f"))
        .unwrap_err();
    assert_eq!(missing.code.as_str(), "flow::profile::template");
    assert!(missing.message.contains("`submit`"), "{}", missing.message);
}

#[test]
fn mistakes_are_found_at_once_and_teach() {
    let text = r#"
        [exec]
        [executor]
        use = "slum"
        task_minuts = 5
        most_tasks = 0
        memory = 4
        time = "soon"
        before = "module load"
        submit = ["a", 1]
        index = "A B"
        states = { Q = "sleeping" }
        [retry]
        preempted = -1
        out_of_memory = { times = 1, factor = 2.0 }
        time_limit = { time = 0.5 }
        [stages]
        flat = 1
        [stages.model]
        memory = "1GiB"
        [stages.model.resources]
        gpu = 1
        timeout = 7
    "#;
    let diags = read(text).unwrap_err();
    let has = |code: &str, part: &str| {
        let text = |diag: &Diag| format!("{} {}", diag.message, diag.help.join(" "));
        diags
            .iter()
            .any(|diag| diag.code.as_str() == code && text(diag).contains(part))
    };
    for (code, part) in [
        (
            "flow::pipeline::unknown_key",
            "keys: executor, retry, stages",
        ),
        ("flow::profile::word", "did you mean `slurm`?"),
        (
            "flow::pipeline::unknown_key",
            "did you mean `task_minutes`?",
        ),
        (
            "flow::params::type",
            "`most_tasks` must be a whole number, 1 or more",
        ),
        (
            "flow::params::type",
            "`memory` must be a size such as \"2GiB\"",
        ),
        ("flow::params::type", "`time` must be a time"),
        ("flow::params::type", "`before` must be a list of texts"),
        ("flow::params::type", "`submit` must be a list of texts"),
        (
            "flow::params::type",
            "`index` must be the name of an environment variable",
        ),
        ("flow::profile::word", "`Q` cannot be `sleeping`"),
        (
            "flow::params::type",
            "`preempted` must be a whole number, 0 or more",
        ),
        ("flow::pipeline::unknown_key", "keys: times, memory"),
        (
            "flow::params::type",
            "`time` must be a number from 1 to 100",
        ),
        ("flow::params::type", "`flat` must be a table"),
        (
            "flow::pipeline::unknown_key",
            "`memory` is not a key of [stages.model]",
        ),
        ("flow::pipeline::unknown_key", "did you mean `gpus`?"),
        ("flow::params::type", "`timeout` must be a time"),
    ] {
        assert!(has(code, part), "{part}: {diags:#?}");
    }
    assert_eq!(diags.len(), 17, "{diags:#?}");
    assert!(
        diags.iter().all(|diag| !diag.labels.is_empty()),
        "each says where"
    );
    let syntax = read("[executor\n").unwrap_err();
    assert_eq!(syntax[0].code.as_str(), "flow::toml::syntax");
}

#[test]
fn a_profile_that_is_not_there_is_told_with_those_that_are() {
    let project = Project::in_memory("");
    let missing = |name: &str| {
        Profile::read(&project.root, name, &project.root)
            .unwrap_err()
            .remove(0)
    };
    assert!(
        missing("hpc")
            .help
            .concat()
            .contains("there are no profiles here")
    );
    project.write("profiles/hpc.toml", "");
    let diag = missing("hcp");
    assert_eq!(diag.code.as_str(), "flow::profile::missing");
    assert!(
        diag.help.concat().contains("did you mean `hpc`?"),
        "{:?}",
        diag.help
    );
}
