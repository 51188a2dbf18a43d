//! The binary `shiftwork-executor`, started by a Mesos agent. Absent: everything but the call.

use std::process::ExitCode;

fn main() -> ExitCode {
    shiftwork_executor::main_entry()
}
