//! Elastic-Job-Cloud's REST as its users script it: with curl, in both generations, against a
//! scheduler that really runs the jobs.

use std::path::Path;
use std::process::Command;

use crate::harness::Standalone;

#[track_caller]
fn script(generation: &str, standalone: &Standalone) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/elastic-job-cloud.sh");
    let output = Command::new("bash")
        .arg(script)
        .args([generation, &standalone.http])
        .output()
        .expect("bash and curl are there");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn scripts_of_2_x_go_on_working() {
    script("2", &Standalone::start(&[]));
}

#[test]
fn scripts_of_3_x_go_on_working_and_log_in() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("password");
    std::fs::write(&file, "pwd\n").expect("writable");
    let file = file.to_str().expect("text").to_owned();
    script(
        "3",
        &Standalone::start(&[
            "--elastic-job-dialect",
            "3",
            "--elastic-job-username",
            "root",
            "--elastic-job-password-file",
            &file,
        ]),
    );
}
