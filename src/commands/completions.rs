//! `flow completions`: completion scripts.

use clap::Args;
use clap_complete::env::Shells;

use crate::ui::Ui;

/// The variable by which a shell asks for candidates.
pub const VARIABLE: &str = "COMPLETE";

/// `flow completions`
#[derive(Debug, Args)]
#[command(after_help = "\
The script makes the shell ask `flow`, which must be on the path, so that stages, parameters, variants
and runs are completed too. It replaces one that an earlier version printed.

Examples:
  flow completions bash > ~/.local/share/bash-completion/completions/flow
  echo 'source <(flow completions zsh)' >> ~/.zshrc
  flow completions fish > ~/.config/fish/completions/flow.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Runs the command.
pub fn run(args: &CompletionsArgs, ui: &Ui) {
    ui.raw(&String::from_utf8_lossy(&registration(args.shell)));
}

/// A script that makes a shell ask.
fn registration(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(&shell.to_string()) {
        // Writing to a vector cannot fail.
        let _ = shell.write_registration(VARIABLE, "flow", "flow", "flow", &mut script);
    }
    script
}
