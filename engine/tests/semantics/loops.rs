//! An action with threads of its own is not held up by another. On shared threads, a thread that waits for the end
//! of a loop may begin another action.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flow_engine::Registry;
use flow_engine::kind::{Action, Loops, Scope, StageError, Step};
use flow_testkit::files::folder;
use flow_testkit::kinds::FakeKind;
use flow_testkit::{Project, local};

const PIPELINE: &str = "\
[stages.slow]
use = \"slow\"
[stages.gate]
use = \"gate\"
[stages.other]
use = \"other\"
inputs = { rows = \"gate\" }
";

thread_local! {
    static IN_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// What has happened so far.
#[derive(Default)]
struct Seen {
    in_loop: AtomicBool,
    other: AtomicBool,
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
}

fn write(action: &mut Action<'_>) -> Result<(), StageError> {
    action.write("rows", b"made", Vec::new())
}

/// `slow` is in a loop, whose first half is over, until `other` begins. `gate` holds `other` back until then.
fn registry() -> Registry {
    let step = || vec![Step::new("make", Scope::Whole).writes("rows")];
    let seen = Arc::new(Seen::default());
    let at = Arc::clone(&seen);
    let slow = FakeKind::new("slow", step()).looping(Loops::Own);
    let slow = slow.runs(move |action| {
        IN_LOOP.set(true);
        let first = || match rayon::current_num_threads() {
            1 => at.in_loop.store(true, Ordering::SeqCst),
            _ => wait_for(&at.in_loop),
        };
        rayon::join(first, || {
            at.in_loop.store(true, Ordering::SeqCst);
            wait_for(&at.other);
        });
        IN_LOOP.set(false);
        write(action)
    });
    let at = Arc::clone(&seen);
    let gate = FakeKind::new("gate", step()).looping(Loops::None);
    let gate = gate.runs(move |action| {
        wait_for(&at.in_loop);
        write(action)
    });
    let read = vec![Step::new("make", Scope::Whole).port("rows").writes("rows")];
    let other = FakeKind::new("other", read).looping(Loops::Own);
    let other = other.one("rows", "rows").runs(move |action| {
        seen.other.store(true, Ordering::SeqCst);
        match IN_LOOP.get() {
            true => Err(StageError::data(
                "test::in_loop",
                "begun within a loop of `slow`",
            )),
            false => write(action),
        }
    });
    let mut registry = Registry::default();
    for kind in [slow, gate, other] {
        registry.add(kind.gives("rows", "rows", 0));
    }
    registry
}

#[test]
fn an_action_with_threads_of_its_own_is_not_held_up_by_another() {
    let project = Project::with(PIPELINE);
    let pipeline = local::sound(&project, "p.toml", &[], &registry());
    let home = folder();
    local::run(&pipeline, home.path(), 2).ok();
}
