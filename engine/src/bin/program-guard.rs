//! A guard of programs, for programs that use the engine and cannot be one themselves, such as its tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    flow_engine::command::guard::serve_if_asked().unwrap_or(ExitCode::FAILURE)
}
