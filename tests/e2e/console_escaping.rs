//! Whatever users and tasks write is shown as text: hostile markup in everything that can be supplied,
//! on every page that shows it.

use serde_json::json;

use crate::browser::Browser;
use crate::harness::Standalone;

/// Would set a mark on the page if any of it were taken for markup.
const HOSTILE: &str = "\"'><img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script></textarea></pre></title>{{7*7}}";

#[test]
fn markup_in_what_users_and_tasks_write_is_text() {
    let standalone = Standalone::start(&[]);
    let app = json!({"appName": "app", "cpuCount": 0.1, "memoryMB": 32, "env": {"A": HOSTILE},
        "labels": {"team": HOSTILE}});
    let (status, answer) = standalone.post("/api/v1/apps", Some(&app));
    assert_eq!(status, 201, "{answer}");
    let calendar = json!({"calendarName": "days", "weekdays": ["SUN"], "description": HOSTILE});
    assert_eq!(standalone.post("/api/v1/calendars", Some(&calendar)).0, 201);
    let script = "printf '%s\\n' \"$TEXT\"; printf '%s\\n' \"$TEXT\" >&2; exit 1";
    let job = json!({"description": HOSTILE, "jobParameter": HOSTILE, "env": {"TEXT": HOSTILE},
        "labels": {"team": HOSTILE}, "shardingItemParameters": "0=<b>x</b>", "contextArgument": false,
        "cron": "0 0 3 * * ?", "calendars": ["days"]});
    standalone.register_job("job", script, &job);
    standalone.register_job("other", &format!("true; : {HOSTILE:?}"), &json!({}));
    let overrides = json!({"jobParameter": HOSTILE, "env": {"MORE": HOSTILE}});
    let (status, made) = standalone.post("/api/v1/jobs/job/trigger", Some(&overrides));
    assert_eq!(status, 201, "{made}");
    let run = made["id"].as_str().expect("a run").to_owned();
    let ended = standalone.wait_for_run(&run, "FAILED");
    let task = ended["shards"][0]["taskId"].as_str().expect("a task").to_owned();
    let reason = json!({"reason": HOSTILE});
    for what in ["jobs/other", "apps/app"] {
        let (status, answer) = standalone.post(&format!("/api/v1/{what}/disable"), Some(&reason));
        assert_eq!(status, 200, "{answer}");
    }
    let browser = Browser::start(&standalone.http);
    let in_query = HOSTILE.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
    let pages = [
        "/".to_owned(),
        "/jobs".to_owned(),
        "/jobs/job".to_owned(),
        "/jobs/other".to_owned(),
        "/jobs/job/edit".to_owned(),
        "/jobs/other/edit".to_owned(),
        "/jobs/job/trigger".to_owned(),
        "/new/job?from=job".to_owned(),
        "/apps/app".to_owned(),
        "/apps/app/edit".to_owned(),
        "/calendars/days".to_owned(),
        "/calendars/days/edit".to_owned(),
        "/runs".to_owned(),
        format!("/runs/{run}"),
        "/queues/ready".to_owned(),
        "/history/executions".to_owned(),
        "/history/states".to_owned(),
        "/changes".to_owned(),
        format!("/jobs?q={in_query}"),
        format!("/history/states?job={in_query}&task={in_query}"),
        format!("/changes?name={in_query}"),
        format!("/preferences?back={in_query}"),
        format!("/jobs?said={in_query}"),
    ];
    for page in &pages {
        browser.go(page);
        is_text(&browser, page);
    }
    browser.go(&format!("/tasks/{task}/log?stream=stderr"));
    browser.wait_for_text("#log", "<script>window.pwned=1</script>");
    is_text(&browser, "the log");
    // In what is refused, too.
    for page in ["jobs", "apps", "runs", "agents", "calendars"] {
        browser.go(&format!("/{page}/{in_query}"));
        assert_eq!(browser.script("return window.pwned ?? 0"), 0, "{page}");
        assert!(browser.complaints().iter().all(|text| text.contains("status of 40")), "{page}");
    }
    // Typed into a form that comes back.
    browser.go("/new/job");
    browser.write("#jobName", HOSTILE);
    browser.write("#scriptCommandLine", HOSTILE);
    browser.click("button.primary");
    browser.wait_for_text(".refusal", "wrong");
    assert_eq!(browser.script("return window.pwned ?? 0"), 0);
    assert_eq!(browser.count("main img"), 0);
    assert_eq!(browser.script("return document.querySelector('#jobName').value"), HOSTILE);
    assert_eq!(
        browser.script("return document.querySelector('#scriptCommandLine').value"),
        HOSTILE
    );
    browser.was_refused(422);
}

fn is_text(browser: &Browser, page: &str) {
    assert_eq!(browser.script("return window.pwned ?? 0"), 0, "{page}");
    assert_eq!(browser.count("main img"), 0, "{page}");
    // The policy would have complained, had anything slipped through.
    browser.is_content(page);
}
