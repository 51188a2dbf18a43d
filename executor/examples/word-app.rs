//! An app with jobs of its own: counts words, shard by shard. Built, it is the executor that the
//! app's `bootstrapScript` starts.
//!
//! `words` (SIMPLE) counts the words of its sharding parameter; `lines` (DATAFLOW) takes the lines of
//! a file in the task's directory one by one until there are none; `trouble` (SIMPLE) shows what
//! becomes of errors, panics, kills and processes that a job starts itself.

use std::process::ExitCode;
use std::time::Duration;

use shiftwork_executor::{DataflowJob, Executor, JobContext, JobError, JobResult, SimpleJob};

struct Words;

impl SimpleJob for Words {
    fn execute(&self, context: &JobContext) -> JobResult {
        let words = context.sharding_parameter().split_whitespace().count();
        context.log(&format!("{words} words in shard {} of {}", context.item(), context.run_id()));
        Ok(())
    }
}

struct Lines;

impl DataflowJob for Lines {
    type Item = String;

    fn fetch(&self, context: &JobContext) -> Result<Vec<String>, JobError> {
        let queue = context.directory().join("queue");
        let text = match std::fs::read_to_string(&queue) {
            Ok(text) => text,
            Err(_) => context.job_parameter().replace(' ', "\n"),
        };
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        std::fs::write(&queue, rest)?;
        Ok(Some(first.to_owned()).filter(|line| !line.is_empty()).into_iter().collect())
    }

    fn process(&self, context: &JobContext, items: Vec<String>) -> JobResult {
        for line in items {
            context.log(&line);
        }
        Ok(())
    }
}

struct Trouble;

impl SimpleJob for Trouble {
    fn execute(&self, context: &JobContext) -> JobResult {
        match context.job_parameter() {
            "panic" => panic!("shard {} fell over", context.item()),
            "error" => Err("the table is locked".into()),
            "command" => {
                // A process of the job's own, waited for when it suits the job.
                let mut child = std::process::Command::new("true").spawn()?;
                context.cancellation().wait(Duration::from_millis(300));
                context.log(&format!("it ended with {}", child.wait()?));
                Ok(())
            }
            "deaf" => loop {
                // What no job should do: nobody can end it but the end of the executor.
                std::thread::sleep(Duration::from_mins(1));
            },
            _ => {
                // Work that heeds its cancellation.
                while !context.cancellation().wait(Duration::from_mins(1)) {
                    context.log("still at it");
                }
                context.log("told to end");
                Ok(())
            }
        }
    }
}

fn main() -> ExitCode {
    Executor::new().simple("words", Words).dataflow("lines", Lines).simple("trouble", Trouble).run()
}
