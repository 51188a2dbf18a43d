//! The console in a real browser: every page with real data, a job's whole life by hand, and what holds
//! of all pages. Absent: hostile texts (`console_escaping.rs`).

use serde_json::json;

use crate::browser::Browser;
use crate::harness::{PATIENCE, Standalone, wait_for};

/// Largest page, bytes.
const PAGE_LEN_MAX: usize = 100_000;

/// Keys as WebDriver writes them.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

/// A scheduler with something of everything.
fn world() -> Standalone {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    let calendar =
        json!({"calendarName": "holidays", "dates": ["2026-12-25"], "weekdays": ["SUN"]});
    assert_eq!(standalone.post("/api/v1/calendars", Some(&calendar)).0, 201);
    let nightly = json!({"cron": "0 30 2 * * ?", "timeZone": "Europe/Berlin", "calendars": ["holidays"],
        "shardingTotalCount": 3, "shardingItemParameters": "0=north,1=east,2=south"});
    standalone.register_job("nightly", "echo shard $SHIFTWORK_ITEM; true", &nightly);
    standalone.register_job("broken", "echo oh no >&2; exit 3", &json!({}));
    standalone.register_job("large", "true", &json!({"cpuCount": 1000}));
    standalone.register_job("long", "echo begun; sleep 600; true", &json!({}));
    let daemon = json!({"jobExecutionType": "DAEMON", "every": "1s"});
    standalone.register_job("watcher", "true", &daemon);
    standalone
}

#[test]
fn every_page_shows_what_there_is() {
    let standalone = world();
    let good = standalone.trigger("nightly");
    let bad = standalone.trigger("broken");
    let long = standalone.trigger("long");
    standalone.trigger("large");
    standalone.wait_for_run(&good, "SUCCEEDED");
    standalone.wait_for_run(&bad, "FAILED");
    let live = standalone.wait_for_run(&long, "RUNNING");
    let task = live["shards"][0]["taskId"].as_str().expect("a task").to_owned();
    let agent = live["shards"][0]["agent"].as_str().expect("an agent").to_owned();
    wait_for("it is known that the large job cannot be placed", || {
        let why = standalone.get("/api/v1/jobs/large/why").1;
        why["answer"].as_str().is_some_and(|answer| answer.contains("cpus"))
    });
    let browser = Browser::start(&standalone.http);
    let pages: &[(&str, &str, &[&str])] = &[
        ("/", "Overview", &["master connected", "cannot be placed", "broken@", "nightly"]),
        ("/jobs", "Jobs", &["nightly", "0 30 2 * * ? Europe/Berlin", "broken", "watcher"]),
        ("/jobs?q=NIGHT", "Jobs", &["nightly"]),
        ("/jobs?state=RUNNING", "Jobs", &["long"]),
        ("/jobs?sort=next", "Jobs", &["nightly"]),
        ("/jobs/nightly", "nightly", &["Coming firings", "Europe/Berlin", "succeeded", "0=north"]),
        ("/jobs/large", "large", &["needs 1000"]),
        ("/jobs/nightly/edit", "Edit nightly", &["Everything else", "UTC"]),
        ("/jobs/nightly/trigger", "Trigger nightly", &["3 shards"]),
        ("/jobs/nightly/disable", "Disable nightly?", &["Reason"]),
        ("/jobs/nightly/delete", "Delete nightly?", &["Its history stays"]),
        ("/new/job", "New job", &["Register"]),
        ("/runs", "Runs", &["nightly@", "broken@", "long@", "succeeded", "failed", "running"]),
        ("/runs?state=FAILED", "Runs", &["broken@"]),
        (
            &format!("/runs/{good}"),
            &good,
            &["Timeline", "shard 2", "finished", "What it was made with"],
        ),
        (&format!("/runs/{bad}"), &bad, &["exited with code 3", "oh no", "Run again"]),
        (&format!("/runs/{long}"), &long, &["running", "Kill"]),
        (&format!("/tasks/{task}/log"), "stdout of shard 0", &["Follow", "Download"]),
        ("/queues/ready", "Queues", &["large", "cpus"]),
        ("/queues/failover", "Queues", &["No shard waits"]),
        ("/queues/running", "Queues", &["long@", "watcher@"]),
        ("/agents", "Agents", &[&agent]),
        (&format!("/agents/{agent}"), "", &["Offers held", "Executors", "long@"]),
        ("/executors", "Executors", &["app@-@", "running"]),
        ("/history/executions", "History", &["broken@", "exited with code 3", "finished"]),
        ("/history/executions?result=failed", "History", &["broken@"]),
        ("/history/states", "History", &["staging", "running", "READY"]),
        ("/audit", "Firing audit", &["Audit now"]),
        ("/audit?since=1h", "Firing audit", &["Got their run"]),
        ("/changes", "Changes", &["nightly", "holidays", "written"]),
        ("/apps", "Apps", &["app", "5 jobs"]),
        ("/apps/app", "app", &["shiftwork-executor", "5 jobs"]),
        ("/apps/app/edit", "Edit app", &["Save"]),
        ("/new/app", "New app", &["Register"]),
        ("/calendars", "Calendars", &["holidays", "SUN", "1 date"]),
        ("/calendars/holidays", "holidays", &["1 job"]),
        ("/new/calendar", "New calendar", &["Register"]),
        ("/settings", "Settings", &["launch interval", "10.0 s"]),
        ("/preferences", "Preferences", &["Theme"]),
    ];
    for (path, heading, texts) in pages {
        browser.go(path);
        if !heading.is_empty() {
            assert_eq!(browser.text("h1"), *heading, "{path}");
        }
        for text in *texts {
            browser.wait_for_text("main", text);
        }
        browser.is_content(path);
        is_well_made(&browser, path);
        let length = length_of(&standalone, path);
        assert!(length < PAGE_LEN_MAX, "{path} has {length} bytes");
    }
    // In the dark everything can be read as well.
    browser.scheme("dark");
    for (path, _, _) in pages {
        browser.go(path);
        is_well_made(&browser, path);
    }
    // On a phone nothing runs out of the page.
    browser.resize(390, 844);
    for (path, _, _) in pages {
        browser.go(path);
        let beyond = browser.script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
        );
        assert!(beyond.as_i64() <= Some(0), "{path} is {beyond} px wider than a phone");
    }
    browser.is_content("on a phone");
}

/// What holds of every page: one heading of the first order, names for everything that can be used,
/// nothing inline, contrast that suffices.
fn is_well_made(browser: &Browser, path: &str) {
    let found = browser.script(include_str!("console_manners.js"));
    assert_eq!(found, json!([]), "{path}");
}

fn length_of(standalone: &Standalone, path: &str) -> usize {
    let url = format!("{}{path}", standalone.http);
    crate::harness::block_on(async move {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client.get(url).timeout(PATIENCE).send().await.expect("an answer");
        answer.text().await.expect("a page").len()
    })
}

#[test]
fn a_job_lives_its_life_by_hand() {
    let standalone = Standalone::start(&[]);
    let browser = Browser::start(&standalone.http);
    // An app.
    browser.go("/apps");
    browser.click("a.primary");
    browser.write("#appName", "reports");
    browser.click("button.primary");
    browser.wait_for_path("/apps/reports");
    assert_eq!(browser.text(".said"), "It was registered.");
    // A job: first wrong, and told so at the fields.
    browser.click("a.primary");
    browser.wait_for_path("/new/job");
    browser.write("#jobName", "nightly");
    browser.write(
        "#scriptCommandLine",
        "echo shard $SHIFTWORK_ITEM got $SHIFTWORK_JOB_PARAMETER; sleep 8; echo over; true",
    );
    browser.write("#shardingTotalCount", "2");
    browser.write("#cron", "0 30 25 * * ?");
    browser.wait_for_text("#preview", "hour");
    // The preview asked about what is no schedule.
    browser.was_refused(422);
    browser.click("button.primary");
    browser.wait_for_text(".refusal", "One field is wrong");
    assert_eq!(browser.count("[aria-invalid=true]"), 1);
    assert!(browser.text("#cron-wrong").contains("hour"), "{}", browser.text("#cron-wrong"));
    browser.was_refused(422);
    browser.write("#cron", "0 30 2 * * ?");
    browser.write("#timeZone", "America/New_York");
    browser.wait_for_text("#preview", "02:30:00");
    browser.wait_for_text("#preview", "UTC");
    browser.click("button.primary");
    browser.wait_for_path("/jobs/nightly");
    assert!(browser.text("main").contains("America/New_York"));
    browser.is_content("registered");
    // Triggered with a parameter, and watched without touching anything.
    browser.click("a.primary");
    browser.wait_for_path("/jobs/nightly/trigger");
    browser.click("[name=other-parameter]");
    browser.write("#jobParameter", "monday");
    browser.write("#env", "COLOUR=blue");
    browser.click("button.primary");
    browser.wait_for_path("/runs/nightly@");
    browser.script("window.untouched = true");
    browser.wait_for_text("main h2", "running");
    browser.wait_for_text("main h2", "succeeded");
    browser.wait_for_text("main", "monday");
    assert_eq!(browser.script("return window.untouched"), true, "it was shown anew, not loaded");
    assert!(browser.count("svg.timeline .s-task_finished") >= 2);
    // Its log, searched.
    browser.click("a[aria-label=\"stdout of shard 1\"]");
    browser.wait_for_text("#log", "shard 1 got monday");
    browser.wait_for_text("#log-state", "ended");
    browser.write("#log-search", "OVER");
    browser.wait_for_text("#log-found", "1 of 1");
    browser.is_content("read");
    // Once more, and cancelled.
    browser.go("/jobs/nightly");
    browser.click("svg.strip a");
    browser.wait_for_path("/runs/nightly@");
    browser.click("form[action$=rerun] button");
    browser.wait_for_text(".said", "once more");
    browser.wait_for_text("main h2", "running");
    browser.click("form[action$=cancel] button");
    browser.wait_for_text("main h2", "cancelled");
    // Disabled with a reason that others read.
    browser.go("/jobs/nightly");
    browser.click("a[href$=disable]");
    browser.write("#reason", "stocktaking");
    browser.click("button.danger");
    browser.wait_for_text(".said", "disabled");
    assert!(browser.text(".answer").contains("stocktaking"), "{}", browser.text(".answer"));
    browser.click("form[action$=enable] button");
    browser.wait_for_text(".said", "enabled");
    // Edited: what no field is for survives.
    browser.click("a[href$=edit]");
    browser.write("#priority", "70");
    browser.script("document.querySelector('#other').closest('details').open = true");
    browser.write("#other", "{\"labels\": {\"team\": \"blue\"}}");
    browser.click("button.primary");
    browser.wait_for_text(".said", "saved");
    let (_, job) = standalone.get("/api/v1/jobs/nightly");
    assert_eq!(job["document"]["labels"]["team"], "blue");
    assert_eq!(job["document"]["priority"], 70);
    assert_eq!(job["document"]["timeZone"], "America/New_York");
    // Removed.
    browser.click("a[href$=delete]");
    browser.click("button.danger");
    browser.wait_for_path("/jobs");
    browser.wait_for_text("main", "No job is like that");
    browser.is_content("removed");
    browser.go("/jobs/nightly");
    assert_eq!(browser.text("h1"), "Not found");
    browser.was_refused(404);
}

#[test]
fn a_change_that_somebody_else_made_meanwhile_is_not_lost() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    standalone.register_job("shared", "true", &json!({}));
    let browser = Browser::start(&standalone.http);
    browser.go("/jobs/shared/edit");
    let mut document = standalone.get("/api/v1/jobs/shared").1["document"].clone();
    document["priority"] = json!(99);
    let (status, _) = standalone.call(reqwest::Method::PUT, "/api/v1/jobs/shared", Some(&document));
    assert_eq!(status, 200);
    browser.write("#priority", "1");
    browser.click("button.primary");
    browser.wait_for_text(".refusal", "has changed");
    browser.was_refused(412);
    assert_eq!(standalone.get("/api/v1/jobs/shared").1["document"]["priority"], 99);
}

#[test]
fn a_task_is_killed_and_its_log_followed_while_it_is_written() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    let script = "for i in $(seq 1 600); do echo line $i; sleep 0.2; done; true";
    standalone.register_job("writer", script, &json!({}));
    let run = standalone.trigger("writer");
    standalone.wait_for_run(&run, "RUNNING");
    let browser = Browser::start(&standalone.http);
    browser.go(&format!("/runs/{run}"));
    browser.click("a[aria-label=\"stdout of shard 0\"]");
    browser.wait_for_text("#log-state", "Following");
    browser.wait_for_text("#log", "line 3");
    let begun = browser.text("#log").len();
    wait_for("more is written", || browser.text("#log").len() > begun);
    let download =
        browser.script("return document.querySelector('a[download]').getAttribute('href')");
    assert!(length_of(&standalone, download.as_str().expect("an address")) >= begun);
    browser.go(&format!("/runs/{run}"));
    browser.click("form[action$=kill] button");
    browser.wait_for_text(".said", "killed");
    standalone.wait_for_run(&run, "CANCELLED");
    browser.wait_for_text("main h2", "cancelled");
    browser.is_content("killed");
}

#[test]
fn zone_and_theme_are_the_readers_and_keys_are_enough() {
    let standalone = world();
    let run = standalone.trigger("nightly");
    standalone.wait_for_run(&run, "SUCCEEDED");
    let browser = Browser::start(&standalone.http);
    browser.go("/preferences?back=/jobs/nightly");
    browser.choose("#zone-field", "Asia/Kolkata");
    browser.choose("#theme", "dark");
    browser.click("main button.primary");
    browser.wait_for_path("/jobs/nightly");
    assert_eq!(browser.script("return document.documentElement.dataset.theme"), "dark");
    assert_eq!(browser.text("#zone-choice option:checked"), "Asia/Kolkata");
    let first = "document.querySelector('main time')";
    let shown = browser.script(&format!("return {first}.innerText"));
    let instant = browser.script(&format!("return {first}.dateTime"));
    let instant: jiff::Timestamp = instant.as_str().expect("an instant").parse().expect("RFC 3339");
    let there = instant.in_tz("Asia/Kolkata").expect("a zone").strftime("%F %T").to_string();
    assert_eq!(shown, there.as_str());
    // The first key stop leads past the navigation; a slash into the search.
    browser.go("/jobs");
    browser.press(TAB);
    assert_eq!(browser.script("return document.activeElement.innerText"), "Skip to the content");
    browser.press(ENTER);
    wait_for("the content has the focus", || {
        browser.script("return document.activeElement.id") == "main"
    });
    browser.press("/");
    assert_eq!(browser.script("return document.activeElement.name"), "q");
    browser.press(&format!("night{ENTER}"));
    browser.wait_for_path("/jobs?q=night");
    assert_eq!(browser.count("main tbody tr"), 1);
    browser.is_content("by keys");
}

#[test]
fn the_page_says_when_the_server_is_gone_and_goes_on_when_it_is_back() {
    let mut standalone = Standalone::start(&[]);
    standalone.register_app();
    standalone.register_job("job", "true", &json!({}));
    let browser = Browser::start(&standalone.http);
    browser.go("/jobs/job");
    wait_for("the stream is open", || browser.count("#interrupted[hidden]") == 1);
    standalone.kill();
    browser.wait_for_text("#interrupted", "interrupted");
    let address = standalone.http.trim_start_matches("http://").to_owned();
    standalone.start_again(&["--http", &address]);
    wait_for("the stream is open again", || browser.count("#interrupted[hidden]") == 1);
    let run = standalone.trigger("job");
    browser.wait_for_text("main", "succeeded");
    standalone.wait_for_run(&run, "SUCCEEDED");
}
