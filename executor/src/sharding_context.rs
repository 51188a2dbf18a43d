//! The sharding context user code is given, as JSON: Elastic-Job-Cloud's fields in its order, and
//! four more. Absent: how it gets there; scripts, requests and jobs each have their own way.

use std::fmt::Write as _;

use serde::Serialize;
use shiftwork_schedule::Timestamp;

use crate::core::TaskSpec;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShardingContext<'a> {
    job_name: &'a str,
    task_id: &'a str,
    sharding_total_count: u32,
    job_parameter: &'a str,
    sharding_item: u32,
    sharding_parameter: &'a str,
    run_id: &'a str,
    logical_time: &'a str,
    attempt: u32,
    app_name: &'a str,
}

/// The moment the work stands for: that of the firing, else that of the run.
pub(crate) fn logical_time(spec: &TaskSpec, firing: Option<Timestamp>) -> Timestamp {
    firing.unwrap_or_else(|| Timestamp::from_millis(spec.payload.logical_time_ms))
}

/// The context of one piece of work.
pub(crate) fn json(spec: &TaskSpec, firing: Option<Timestamp>) -> String {
    let payload = &spec.payload;
    let context = ShardingContext {
        job_name: &payload.job,
        task_id: &spec.id.0,
        sharding_total_count: payload.sharding_total_count,
        job_parameter: &payload.job_parameter,
        sharding_item: payload.item,
        sharding_parameter: &payload.sharding_parameter,
        run_id: &payload.run_id,
        logical_time: &logical_time(spec, firing).to_string(),
        attempt: payload.attempt,
        app_name: &payload.app,
    };
    // Strings and numbers always have a JSON form.
    serde_json::to_string(&context).unwrap_or_default()
}

/// The context in visible ASCII, for an HTTP header: any other character is written as JSON's
/// `\u` escape, which every reader of JSON turns back.
pub(crate) fn ascii_json(spec: &TaskSpec, firing: Option<Timestamp>) -> String {
    let mut ascii = String::new();
    for c in json(spec, firing).chars() {
        if matches!(c, ' '..='~') {
            ascii.push(c);
        } else {
            let mut units = [0_u16; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing into a string cannot fail.
                let _written = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{payload, task_info};

    #[test]
    fn the_ascii_form_says_the_same() {
        let mut payload = payload("true");
        payload.sharding_parameter = "Köln \u{7f}\n\u{1f980}".into();
        let spec = TaskSpec::read(&task_info("t", &payload)).unwrap();
        let ascii = ascii_json(&spec, None);
        assert!(ascii.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{ascii}");
        assert!(ascii.contains("K\\u00f6ln \\u007f\\n\\ud83e\\udd80"), "{ascii}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&ascii), read(&json(&spec, None)));
    }
}
