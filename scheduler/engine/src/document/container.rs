//! What a task of Mesos' own executor gets beside its command: files, and an image to run in. Tasks
//! of an app share their executor's sandbox, so there they are the app's.

use serde_json::Value;

use super::app::read_uris;
use super::reader::Reader;
use super::{JobExecutor, Strictness};

/// Longest name of an image: as long as registries take them, with host and digest.
const IMAGE_LEN_MAX: usize = 512;

/// Reads `uris`: what the agent's fetcher brings into the task's sandbox, beside the app's packages.
pub(super) fn read_job_uris(
    reader: &mut Reader,
    executor: JobExecutor,
    strictness: Strictness,
) -> Vec<String> {
    const FIELD: &str = "uris";
    if is_ignored(executor, strictness) {
        reader.ignore(&[FIELD]);
        return Vec::new();
    }
    let uris = read_uris(reader);
    let is_address = |uri: &String| !uri.is_empty() && !uri.contains(char::is_control);
    if let Some(uri) = uris.iter().find(|uri| !is_address(uri)) {
        reader.error(FIELD, format!("must be addresses or paths of files, {uri:?} is none"));
    }
    if !uris.is_empty() && executor != JobExecutor::Command {
        reader
            .error(FIELD, "needs executor command; what the app's executor runs, its app fetches");
    }
    uris
}

/// Reads `container`, `{"image": NAME}`: the Docker image the Mesos containerizer runs the task in.
pub(super) fn read_image(
    reader: &mut Reader,
    executor: JobExecutor,
    strictness: Strictness,
) -> Option<String> {
    const FIELD: &str = "container";
    if is_ignored(executor, strictness) {
        reader.ignore(&[FIELD]);
        return None;
    }
    let container = reader.take(FIELD)?;
    if executor != JobExecutor::Command {
        let message = "needs executor command; tasks of an app share the container of its executor";
        reader.error(FIELD, message);
    }
    let Value::Object(mut container) = container else {
        reader.error(FIELD, "must be an object: {\"image\": NAME}");
        return None;
    };
    let image = container.remove("image");
    for name in container.keys() {
        reader.error(&format!("{FIELD}.{name}"), "is not known: a container has an image");
    }
    match image {
        Some(Value::String(image)) if is_image(&image) => Some(image),
        _ => {
            let message = "must be the name of an image, as registry/name:tag, without spaces";
            reader.error(&format!("{FIELD}.image"), message);
            None
        }
    }
}

/// A stored document may hold what was of no effect when it was stored.
fn is_ignored(executor: JobExecutor, strictness: Strictness) -> bool {
    executor != JobExecutor::Command && strictness == Strictness::Stored
}

fn is_image(name: &str) -> bool {
    (1..=IMAGE_LEN_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use crate::document::{Job, Strictness};

    fn read(extra: &str) -> Result<Job, Vec<String>> {
        read_as(extra, Strictness::Request)
    }

    fn read_as(extra: &str, strictness: Strictness) -> Result<Job, Vec<String>> {
        let text = format!(
            r#"{{"jobName":"foo","appName":"app","jobExecutionType":"TRANSIENT","shardingTotalCount":1,
            "cpuCount":0.1,"memoryMB":64,"scriptCommandLine":"true",{extra}}}"#
        );
        let zone = shiftwork_schedule::Zone::utc();
        Job::parse(text.as_bytes(), strictness, &zone)
            .map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn a_task_with_an_executor_of_its_own_has_files_and_an_image() {
        let job = read(
            r#""executor":"command","uris":["http://h/a.tgz"],"container":{"image":"debian:12"}"#,
        );
        let job = job.unwrap();
        assert_eq!(
            (job.uris, job.image.as_deref()),
            (vec!["http://h/a.tgz".into()], Some("debian:12"))
        );
        let job = read(r#""uris":[],"container":null"#).unwrap();
        assert_eq!((job.uris.len(), job.image), (0, None));
    }

    #[test]
    fn what_was_stored_without_effect_stays_so() {
        let extra = r#""uris":["x"],"container":{"image":"debian"},"misfire":{"window":"0s"}"#;
        let job = read_as(extra, Strictness::Stored).unwrap();
        assert_eq!((job.uris.len(), job.image, job.misfire.window_ms), (0, None, Some(0)));
        assert_eq!(read(extra).unwrap_err(), ["uris", "container", "misfire.window"]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_field() {
        for (refused, fields) in [
            (r#""uris":["x"],"container":{"image":"debian"}"#, vec!["uris", "container"]),
            (r#""executor":"command","container":"debian""#, vec!["container"]),
            (r#""executor":"command","container":{}"#, vec!["container.image"]),
            (r#""executor":"command","container":{"image":"a b"}"#, vec!["container.image"]),
            (r#""executor":"command","container":{"image":"a","tty":true}"#, vec!["container.tty"]),
            (r#""executor":"command","uris":"x""#, vec!["uris"]),
            (r#""executor":"command","uris":[""]"#, vec!["uris"]),
            (r#""executor":"command","uris":["a\u0000b"]"#, vec!["uris"]),
        ] {
            assert_eq!(read(refused).unwrap_err(), fields, "{refused}");
        }
    }
}
