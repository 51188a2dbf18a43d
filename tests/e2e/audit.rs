//! The audit of a running scheduler: quiet through updates, disables, deletions and restarts, loud
//! when a run disappears. Absent: the rules of the judgement (its own tests).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Standalone, block_on, wait_for};

/// Firings are judged a minute after they were due.
const GRACE: Duration = Duration::from_secs(61);

fn report(standalone: &Standalone) -> Value {
    let (status, report) = standalone.get("/api/v1/audit?since=1h");
    assert_eq!(status, 200, "{report}");
    report
}

/// Takes a finished run out of the history behind the scheduler's back.
fn lose_a_run(standalone: &Standalone) -> String {
    let mut runs = standalone.runs("ticks").into_iter();
    let fired = |run: &Value| run["state"] == "SUCCEEDED" && run["origin"] == "SCHEDULE";
    let lost = runs.rfind(fired).expect("a run of the schedule");
    let id = lost["id"].as_str().expect("text").to_owned();
    let file = standalone.data_dir().join("history.db");
    block_on(async {
        use sqlx::Connection as _;
        let url = format!("sqlite://{}", file.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("it opens");
        sqlx::query("DELETE FROM run WHERE id = ?")
            .bind(&id)
            .execute(&mut connection)
            .await
            .expect("it is deleted");
    });
    id
}

#[test]
fn the_audit_is_quiet_until_a_run_is_lost() {
    let mut standalone = Standalone::start(&[]);
    standalone.register_app();
    let ticks = json!({"every": "1s"});
    standalone.register_job("ticks", "true;", &ticks);
    standalone.register_job("slow", "sleep 3;", &json!({"every": "1s", "concurrency": "skip"}));
    standalone.register_job("all", "true;", &json!({"every": "2s", "misfire": true}));
    standalone.register_job("gone", "true;", &ticks);
    standalone.trigger("ticks");
    std::thread::sleep(Duration::from_secs(3));
    // What must not alarm: changes while firings come due.
    let (_, view) = standalone.get("/api/v1/jobs/ticks");
    let mut document = view["document"].clone();
    document["every"] = json!("2s");
    let put = reqwest::Method::PUT;
    assert_eq!(standalone.call(put, "/api/v1/jobs/ticks", Some(&document)).0, 200);
    for job in ["all", "slow"] {
        assert_eq!(standalone.post(&format!("/api/v1/jobs/{job}/disable"), None).0, 200);
    }
    assert_eq!(standalone.call(reqwest::Method::DELETE, "/api/v1/jobs/gone", None).0, 204);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(standalone.post("/api/v1/jobs/all/enable", None).0, 200);
    standalone.register_job("gone", "true;", &ticks);
    // A crash, and firings missed meanwhile.
    standalone.kill();
    std::thread::sleep(Duration::from_secs(4));
    standalone.start_again(&[]);
    let changed = Instant::now();
    std::thread::sleep(GRACE);

    let quiet = report(&standalone);
    assert_eq!(quiet["findingsTotal"], 0, "{quiet:#}");
    assert_eq!((&quiet["jobsUnknown"], &quiet["historyIncomplete"]), (&json!(0), &json!(false)));
    assert!(quiet["fired"].as_u64() > Some(8) && quiet["leftOut"].as_u64() > Some(3), "{quiet:#}");
    assert!(changed.elapsed() >= GRACE);
    assert!(standalone.cli(&["audit", "--since", "1h"]).status.success());

    let lost = lose_a_run(&standalone);
    wait_for("it is judged", || report(&standalone)["findingsTotal"] == 1);
    let loud = report(&standalone);
    assert_eq!(
        (&loud["findings"][0]["kind"], &loud["findings"][0]["run"]),
        (&json!("MISSED"), &json!(lost))
    );
    let output = standalone.cli(&["audit", "--since", "1h"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("MISSED") && said.contains(&lost), "{said}");
    standalone.interrupt();
}
