//! JSON or YAML: whatever form documents are written in, they go on as JSON. Absent: what they mean.

use serde::Deserialize as _;
use serde_json::Value;

/// How the names of files with documents end.
pub(super) const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// The texts of a file as JSON: itself, or each of the documents of a YAML stream.
///
/// # Errors
/// Where it is neither.
pub(super) fn json_texts(path: &str, text: String) -> Result<Vec<String>, String> {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    let looks_like_json = text.trim_start().starts_with(['{', '[']);
    match extension {
        Some("yaml" | "yml") => yaml(&text),
        Some("json") => Ok(vec![text]),
        // Text that begins as JSON does is meant as JSON, and errors are to be told of that.
        _ if looks_like_json => Ok(vec![text]),
        _ => yaml(&text),
    }
}

fn yaml(text: &str) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let value =
            Value::deserialize(document).map_err(|error| format!("is not valid YAML: {error}"))?;
        // Nothing between two separators is no document.
        if !value.is_null() {
            texts.push(value.to_string());
        }
    }
    if texts.is_empty() { Err("is empty".to_owned()) } else { Ok(texts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_becomes_json() {
        let text = "jobName: j\ncron: \"0 0 2 * * ?\"\nenv:\n  A: \"1\"\ncpuCount: 0.5\n---\n---\nappName: a\n";
        let texts = json_texts("x.yml", text.to_owned()).unwrap();
        let first: Value = serde_json::from_str(&texts[0]).unwrap();
        assert_eq!((&first["env"]["A"], &first["cpuCount"]), (&"1".into(), &0.5.into()));
        assert_eq!(texts[1..], [r#"{"appName":"a"}"#]);
    }

    #[test]
    fn json_is_left_as_it_is() {
        let text = " {\"cpuCount\": 1.0}".to_owned();
        for path in ["x.json", "-", "x"] {
            assert_eq!(json_texts(path, text.clone()).unwrap(), [text.as_str()]);
        }
        assert_eq!(json_texts("-", "appName: a".to_owned()).unwrap(), [r#"{"appName":"a"}"#]);
        for bad in ["", "---\n", "a: b: c", "\t- x"] {
            assert!(json_texts("x.yaml", bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
