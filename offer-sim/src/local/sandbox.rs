//! The sandbox of a run: made before it, removed long after it. What runs in it is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Layout;
use crate::world::ContainerId;

/// Finished sandboxes that are kept for each framework: enough to look at yesterday's failure,
/// few enough to stay small on a workstation.
const FINISHED_KEPT: usize = 50;

/// Makes a sandbox and opens its `stdout` and `stderr` for appending.
pub(super) fn create(sandbox: &Path) -> io::Result<(File, File)> {
    std::fs::create_dir_all(sandbox)?;
    let open = |name| OpenOptions::new().create(true).append(true).open(sandbox.join(name));
    Ok((open("stdout")?, open("stderr")?))
}

/// Removes the oldest finished sandboxes of every framework. A container that is still on record
/// is not finished.
pub(super) fn collect_garbage(layout: &Layout) {
    let recorded = recorded(layout);
    for (_, mut runs) in finished_runs(layout, &recorded) {
        runs.sort_by(|left, right| right.cmp(left));
        for (_, path) in runs.into_iter().skip(FINISHED_KEPT) {
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "an old sandbox stays behind");
            }
        }
    }
}

fn recorded(layout: &Layout) -> BTreeSet<ContainerId> {
    let records = super::record::read_executors(layout);
    records.into_iter().map(|(container, _)| container).collect()
}

/// Runs that are not on record, by framework, with the time of their last change.
fn finished_runs(
    layout: &Layout,
    recorded: &BTreeSet<ContainerId>,
) -> BTreeMap<PathBuf, Vec<(SystemTime, PathBuf)>> {
    let mut finished: BTreeMap<PathBuf, Vec<(SystemTime, PathBuf)>> = BTreeMap::new();
    let frameworks = children(&layout.sandboxes())
        .into_iter()
        .flat_map(|agent| children(&agent.join("frameworks")));
    for framework in frameworks {
        let executors = children(&framework.join("executors"));
        for run in executors.iter().flat_map(|executor| children(&executor.join("runs"))) {
            let name = run.file_name().map(|name| name.to_string_lossy().into_owned());
            let is_recorded = name.is_some_and(|name| recorded.contains(&ContainerId(name)));
            let modified = run.metadata().and_then(|metadata| metadata.modified());
            if let Some(modified) = modified.ok().filter(|_| !is_recorded) {
                finished.entry(framework.clone()).or_default().push((modified, run));
            }
        }
    }
    finished
}

fn children(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_finished_sandboxes_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        layout.create().unwrap();
        let runs = layout.sandboxes().join("S0/frameworks/F/executors/e/runs");
        for number in 0..FINISHED_KEPT + 3 {
            let run = runs.join(format!("{number:03}"));
            drop(create(&run).unwrap());
            let seconds = std::time::Duration::from_secs(number as u64);
            let time = SystemTime::UNIX_EPOCH + seconds;
            File::open(&run).unwrap().set_modified(time).unwrap();
        }
        // The oldest is still on record and therefore stays.
        let record = r#"{"process":{"pid":1,"start_time":1},"sandbox":"/x","framework_id":"F","executor_id":"e"}"#;
        std::fs::write(layout.executor(&"000".into()), record).unwrap();
        collect_garbage(&layout);
        let mut left = children(&runs);
        left.sort();
        assert_eq!(left.len(), FINISHED_KEPT + 1);
        assert!(left[0].ends_with("000") && left[1].ends_with("003"));
    }
}
