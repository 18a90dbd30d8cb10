//! The scripts of `docs/cluster.md` that ask schedulers how tasks are, on what these print. It was seen on Grid Engine and
//! OpenPBS, and is that of the manuals for HTCondor and Kubernetes.

use std::process::Command;

use flow_testkit::files::{folder, script, write};
use flow_testkit::{Ended, skipped};

use crate::fences::file_of;

/// Runs a script of the page with stand-ins for commands, each the text of a shell script.
fn asked(name: &str, stand_ins: &[(&str, &str)], ids: &[&str]) -> Ended {
    let place = folder();
    for (command, text) in stand_ins {
        script(&place.path().join("bin").join(command), text);
    }
    let file = place.path().join("status.sh");
    write(&file, file_of("docs/cluster.md", name));
    let old = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{old}", place.path().join("bin").display());
    Ended::run(Command::new("sh").arg(file).args(ids).env("PATH", path))
}

/// What a script tells of these ids.
#[track_caller]
fn told(name: &str, stand_ins: &[(&str, &str)], ids: &[&str], wanted: &[&str]) {
    let ended = asked(name, stand_ins, ids);
    let lines: Vec<&str> = ended.stdout.lines().map(str::trim_end).collect();
    assert_eq!((ended.code, &lines[..]), (0, wanted), "{}", ended.stderr);
}

/// A script must fail if the scheduler does not answer, or else its tasks would be taken for gone.
#[track_caller]
fn fails_without_an_answer(name: &str, commands: &[&str]) {
    let stand_ins: Vec<_> = commands
        .iter()
        .map(|command| (*command, "exit 1"))
        .collect();
    let ended = asked(name, &stand_ins, &["7"]);
    assert_ne!(ended.code, 0, "{}", ended.stdout);
}

/// Some scripts need `jq`, which not every machine for tests has.
fn has_jq() -> bool {
    Command::new("jq").arg("--version").output().is_ok()
}

const QACCT: &str = r#"[ "$1 $2" = "-j 7" ] || exit 1
record() {
    echo ==============================================================
    printf '%s\n' "hostname     ge1" "taskid       $1" "failed       $2" "exit_status  $3" "ru_wallclock ${4}s" \
        "maxvmem      0.000B" "category     -l h_rt=30,h_vmem=300M -pe smp 1"
}
record 1 0 0 3
record 2 "100 : assumedly after job" "137                  (Killed)" 31
record 3 "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit" "137                  (Killed)" 3
record 4 "100 : assumedly after job" "137                  (Killed)" 3
record 5 0 3 3
record 6 "19  : before writing exit_status" 0 0"#;

const QSTAT: &str = r#"head="job-ID  prior   name       user  state submit/start at     queue      slots ja-task-ID"
run="astro r     11/29/2026 23:31:17 all.q@ge2      1"
case "$*" in
"-g d") printf '%s\n' "$head" "      7 0.5 flow-b878b $run 7" "     70 0.5 flow-b878b $run 1" \
    "      7 0.5 flow-b878b astro qw    11/29/2026 23:31:17      1 8" \
    "      7 0.5 flow-b878b astro Eqw   11/29/2026 23:31:17      1 9" "      7 0.5 flow-b878b $run 10" ;;
"-g d -s r -qs u") printf '%s\n' "$head" "      7 0.5 flow-b878b $run 10" ;;
*) exit 2 ;;
esac"#;

#[test]
fn grid_engine() {
    let name = "profiles/sge-status.sh";
    let stand_ins = [("qstat", QSTAT), ("qacct", QACCT)];
    let wanted = [
        "7.1-10:1 0 ok ge1",
        "7.1-10:1 1 time-limit ge1",
        "7.1-10:1 2 out-of-memory ge1",
        "7.1-10:1 3 cancelled ge1",
        "7.1-10:1 4 failed ge1",
        "7.1-10:1 5 failed ge1",
        "7.1-10:1 6 running",
        "7.1-10:1 7 waiting",
        "7.1-10:1 8 failed",
        "7.1-10:1 9 running",
        "7.1-10:1 9 node-failure",
        "70 0 running",
    ];
    told(name, &stand_ins, &["7.1-10:1", "70"], &wanted);
    fails_without_an_answer(name, &["qstat", "qacct"]);
}

const PBS: &str = r#"[ "$1" = -x ] && shift
[ "$1 $2 $3 $4" = "-t -f -F json" ] || exit 2
[ "$5" = '7[].gem' ] || { echo '{"pbs_server": "gem"}'; exit 153; }
task() { printf ', "7[%s].gem": {"job_state": "%s"%s}' "$1" "$2" "${3:+, \"Exit_status\": $3, \"exec_host\": \"ge1/0\"}"; }
echo '{"pbs_server": "gem", "Jobs": {"7[].gem": {"job_state": "B", "array": "True"}'
task 0 X 0; task 1 X -29; task 2 X -27; task 3 F 271; task 4 F 7; task 5 X; task 6 R; task 7 Q
echo '}}'"#;

const PBS_WITHOUT_HISTORY: &str = r#"[ "$1" = -x ] && { echo '{"pbs_server": "gem"}'; exit; }
echo '{"Jobs": {"7[].gem": {"job_state": "B"}, "7[0].gem": {"job_state": "E", "exec_host": "ge1/0*2"}}}'"#;

#[test]
fn pbs() {
    let name = "profiles/pbs-status.sh";
    if !has_jq() {
        return skipped("jq is not installed");
    }
    let wanted = [
        "7[].gem 0 ok ge1",
        "7[].gem 1 time-limit ge1",
        "7[].gem 2 out-of-memory ge1",
        "7[].gem 3 cancelled ge1",
        "7[].gem 4 failed ge1",
        "7[].gem 5 cancelled",
        "7[].gem 6 running",
        "7[].gem 7 waiting",
    ];
    told(name, &[("qstat", PBS)], &["6[].gem", "7[].gem"], &wanted);
    let running = ["7[].gem 0 running ge1"];
    told(
        name,
        &[("qstat", PBS_WITHOUT_HISTORY)],
        &["7[].gem"],
        &running,
    );
    fails_without_an_answer(name, &["qstat"]);
}

#[test]
fn htcondor() {
    let name = "profiles/condor-status.sh";
    let check = r#"[ "$*" = "7 -af:j JobStatus ExitCode HoldReasonCode" ] || exit 2"#;
    let history = format!(
        "{check}\nprintf '%s\\n' '7.0 4 0 undefined' '7.1 4 3 undefined' '7.2 3 undefined undefined'"
    );
    let queue = format!(
        "{check}\nprintf '%s\\n' '7.3 1 undefined undefined' '7.4 2 undefined undefined' '7.5 5 undefined 34' \
         '7.6 5 undefined 47' '7.7 5 undefined 6'"
    );
    let wanted = [
        "7 0 ok",
        "7 1 failed",
        "7 2 cancelled",
        "7 3 waiting",
        "7 4 running",
        "7 5 out-of-memory",
        "7 6 time-limit",
        "7 7 failed",
    ];
    let stand_ins = [
        ("condor_history", history.as_str()),
        ("condor_q", queue.as_str()),
    ];
    told(name, &stand_ins, &["7"], &wanted);
    told(
        name,
        &[("condor_history", check), ("condor_q", check)],
        &["7"],
        &[],
    );
    fails_without_an_answer(name, &["condor_history", "condor_q"]);
}

const PODS: &str = r#"[ "$*" = "get pods -l job-name=flow-7 -o json" ] || exit 2
pod() { printf '%s{"metadata": {"labels": {"batch.kubernetes.io/job-completion-index": "%s"}}, "spec": %s, "status": %s}' "$@"; }
echo '{"items": ['
pod "" 0 '{}' '{"phase": "Pending"}'
node='{"nodeName": "w1"}'
pod , 1 "$node" '{"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}'
pod , 2 "$node" '{"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"reason": "Completed"}}}]}'
pod , 3 "$node" '{"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled"}}}]}'
pod , 4 "$node" '{"phase": "Failed", "reason": "DeadlineExceeded"}'
pod , 5 "$node" '{"phase": "Failed", "reason": "Evicted"}'
pod , 6 "$node" '{"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"reason": "Error"}}}]}'
echo ']}'"#;

#[test]
fn kubernetes() {
    let name = "profiles/k8s-status.sh";
    if !has_jq() {
        return skipped("jq is not installed");
    }
    let wanted = [
        "flow-7 0 waiting",
        "flow-7 1 running w1",
        "flow-7 2 ok w1",
        "flow-7 3 out-of-memory w1",
        "flow-7 4 time-limit w1",
        "flow-7 5 preempted w1",
        "flow-7 6 failed w1",
    ];
    told(name, &[("kubectl", PODS)], &["flow-7"], &wanted);
    fails_without_an_answer(name, &["kubectl"]);
}
