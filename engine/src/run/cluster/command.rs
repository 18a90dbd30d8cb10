//! A scheduler of which flow knows nothing but the user's commands: to submit, to ask and to cancel.

use std::process::Command;

use super::options::{Template, Templates};
use super::scheduler::{Scheduler, SchedulerError, Submission, TaskState, TaskStates, call};
use super::template::{Values, fill, of_submission};

/// A scheduler by its commands.
pub(super) struct ByTemplates {
    pub(super) templates: Templates,
}

impl ByTemplates {
    fn call(
        &self,
        template: &Template,
        values: &Values,
        ids: &[String],
    ) -> Result<String, SchedulerError> {
        let words = fill(template, values, ids);
        let Some((program, arguments)) = words.split_first() else {
            return Err(SchedulerError::new(
                "the profile has no command for this".to_owned(),
            ));
        };
        call(Command::new(program).args(arguments), None)
    }
}

impl Scheduler for ByTemplates {
    fn submit(&self, array: &Submission<'_>) -> Result<String, SchedulerError> {
        let said = self.call(&self.templates.submit, &of_submission(array), &[])?;
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        match last.and_then(|line| line.split_whitespace().next()) {
            Some(id) => Ok(id.to_owned()),
            None => Err(SchedulerError::new(
                "the command that submits printed no id".to_owned(),
            )),
        }
    }

    fn states(&self, ids: &[String]) -> Result<TaskStates, SchedulerError> {
        let said = self.call(&self.templates.status, &Vec::new(), ids)?;
        lines(&said, &self.templates)
    }

    fn find(&self, name: &str) -> Result<Option<String>, SchedulerError> {
        if self.templates.find.is_empty() {
            return Ok(None);
        }
        let values = vec![("name", name.into())];
        let said = self.call(&self.templates.find, &values, &[])?;
        Ok(said.split_whitespace().next().map(str::to_owned))
    }

    fn cancel(&self, ids: &[String]) -> Result<(), SchedulerError> {
        let Err(error) = self.call(&self.templates.cancel, &Vec::new(), ids) else {
            return Ok(());
        };
        // Many such commands fail if one of the arrays is over already.
        match self.states(ids) {
            Ok(states) if states.values().all(is_end) => Ok(()),
            _ => Err(error),
        }
    }

    fn remedy(&self) -> Option<&'static str> {
        let mut words = self.templates.submit.iter().flatten();
        let excludes = words.any(|word| word.contains("{exclude}"));
        (!excludes)
            .then_some("with `{exclude}` in `submit`, the profile can keep tasks away from it")
    }
}

fn is_end(state: &TaskState) -> bool {
    matches!(state, TaskState::Ended(_))
}

/// Reads lines of id, number, state and perhaps a machine.
fn lines(said: &str, templates: &Templates) -> Result<TaskStates, SchedulerError> {
    let mut states = TaskStates::new();
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let read = || {
            let word = templates
                .states
                .get(words[2])
                .map_or(words[2], String::as_str);
            let node = words.get(3).map(|node| (*node).to_owned());
            Some((words[1].parse().ok()?, TaskState::of_word(word, node)?))
        };
        let Some((task, state)) = (words.len() >= 3).then(read).flatten() else {
            return Err(SchedulerError::new(format!(
                "the command for states printed `{line}`, which is not `ID TASK STATE`"
            )));
        };
        states.insert((words[0].to_owned(), task), state);
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::cluster::scheduler::{Cause, TaskEnd};

    #[test]
    fn states_are_read_in_words_of_flow_or_of_the_scheduler() {
        let templates = Templates {
            states: [("Q".to_owned(), "waiting".to_owned())].into(),
            ..Templates::default()
        };
        let states = lines("7[].s 0 Q\n7[].s 1 out-of-memory n3\n\n", &templates).unwrap();
        assert_eq!(states[&("7[].s".to_owned(), 0)], TaskState::Waiting);
        let node = Some("n3".to_owned());
        let ended = TaskState::Ended(TaskEnd {
            cause: Cause::OutOfMemory,
            node,
        });
        assert_eq!(states[&("7[].s".to_owned(), 1)], ended);
        for bad in ["7 0", "7 x running", "7 0 sleeping"] {
            assert!(lines(bad, &templates).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_over_need_not_be_cancelled() {
        let words = |words: &[&str]| vec![words.iter().map(|word| (*word).to_owned()).collect()];
        for (said, done) in [
            ("7 0 ok", true),
            ("", true),
            ("7 0 ok\n7 1 running", false),
            ("?", false),
        ] {
            let templates = Templates {
                status: words(&["echo", said]),
                cancel: words(&["sh", "-c", "echo $0 is over >&2; exit 35", "{ids}"]),
                ..Templates::default()
            };
            let cancelled = ByTemplates { templates }.cancel(&["7".to_owned()]);
            assert_eq!(cancelled.is_ok(), done, "{said}");
            assert!(done || cancelled.unwrap_err().to_string().contains("7 is over"));
        }
    }

    #[test]
    fn a_program_that_got_no_memory_ran_out_of_it_whatever_the_scheduler_says() {
        let templates = Templates::default();
        let scheduler = ByTemplates { templates };
        let words = "before\nmemory allocation of 32 bytes failed";
        for (cause, words, wanted) in [
            (Cause::Failed, words, Cause::OutOfMemory),
            (Cause::Failed, "memory", Cause::Failed),
            (Cause::Cancelled, words, Cause::Cancelled),
        ] {
            assert_eq!(scheduler.refined(cause, words), wanted);
        }
    }
}
