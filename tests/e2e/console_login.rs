//! The console asks who somebody is, offers nobody what they may not do, and refuses it all the same.

use serde_json::json;

use crate::browser::Browser;
use crate::harness::{Standalone, wait_for};

const PASSWORD: &str = "correct horse battery";

fn log_in(browser: &Browser, name: &str, password: &str) {
    browser.write("#name", name);
    browser.write("#password", password);
    browser.click("main button.primary");
}

#[test]
fn a_viewer_sees_and_does_not_touch() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    standalone.register_job("job", "true", &json!({}));
    let other = json!({"appName": "other", "cpuCount": 0.1, "memoryMB": 32});
    assert_eq!(standalone.post("/api/v1/apps", Some(&other)).0, 201);
    // With the first admin the door is shut.
    for (name, role, apps) in [
        ("vic", "viewer", json!([])),
        ("oli", "operator", json!(["oth"])),
        ("ann", "admin", json!([])),
    ] {
        let user = json!({"name": name, "password": PASSWORD, "role": role, "apps": apps});
        let (status, answer) = standalone.post("/api/v1/users", Some(&user));
        assert_eq!(status, 201, "{answer}");
    }
    let browser = Browser::start(&standalone.http);
    browser.go("/jobs/job");
    browser.wait_for_path("/login?back=");
    browser.complaints();
    log_in(&browser, "vic", "something else entirely");
    browser.wait_for_text(".refusal", "Not done");
    browser.was_refused(401);
    log_in(&browser, "vic", PASSWORD);
    browser.wait_for_path("/jobs/job");
    browser.wait_for_text(".who", "vic");
    // Nothing is offered.
    for nothing in ["a[href$=trigger]", "a[href$=edit]", "a[href$=delete]", "a[href$=disable]"] {
        assert_eq!(browser.count(nothing), 0, "{nothing}");
    }
    assert_eq!(browser.count("nav a[href='/audit-log']"), 0);
    browser.is_content("as a viewer");
    // And nothing is done.
    let refused = browser.script(
        "const sent = new XMLHttpRequest(); sent.open('POST', '/jobs/job/disable', false); \
         sent.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded'); \
         sent.send('reason=mine'); return sent.status;",
    );
    assert_eq!(refused, 403);
    for page in ["/jobs/job/edit", "/new/job", "/audit-log"] {
        browser.go(page);
        assert_eq!(browser.text("h1"), "Forbidden", "{page}");
    }
    browser.was_refused(403);
    browser.go("/jobs");
    browser.click(".who button");
    browser.wait_for_path("/login");
    // An operator of some apps sees theirs.
    log_in(&browser, "oli", PASSWORD);
    browser.wait_for_path("/");
    browser.go("/apps");
    browser.wait_for_text("main", "other");
    assert!(!browser.text("tbody").contains("app\t"), "{}", browser.text("tbody"));
    assert_eq!(browser.count("a[href='/apps/app']"), 0);
    browser.go("/jobs");
    browser.wait_for_text("main", "No job is like that");
    browser.is_content("as an operator of some apps");
    browser.go("/jobs/job");
    assert_eq!(browser.text("h1"), "Forbidden");
    browser.was_refused(403);
    browser.click(".who button");
    browser.wait_for_path("/login");
    // An admin does all, and it is written down.
    log_in(&browser, "ann", PASSWORD);
    browser.wait_for_path("/");
    browser.go("/jobs/job/disable");
    browser.write("#reason", "stocktaking");
    browser.click("button.danger");
    browser.wait_for_text(".said", "disabled");
    browser.wait_for_text(".answer", "ann");
    wait_for("it is in the log", || {
        browser.go("/audit-log?kind=job");
        browser.text("tbody").contains("disable")
    });
    assert!(browser.text("tbody").contains("ann"), "{}", browser.text("tbody"));
    browser.is_content("as an admin");
}
