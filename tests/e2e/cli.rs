//! The command line as people and scripts use it: documents in files and back, waiting, watching,
//! completion, man pages. And gRPC as the real program serves it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_proto::shiftwork::v1::follow_logs_response::What as Followed;
use shiftwork_proto::shiftwork::v1::scheduler_client::SchedulerClient;
use shiftwork_proto::shiftwork::v1::watch_response::What;

use crate::harness::{PATIENCE, Standalone, block_on, program};

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

fn write(standalone: &Standalone, name: &str, text: &str) {
    let directory = standalone.directory.path().join("documents");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join(name), text).expect("a file");
}

#[test]
fn documents_go_out_and_come_back() {
    let standalone = Standalone::start(&[]);
    let documents = standalone.directory.path().join("documents");
    let documents = documents.to_str().expect("a path of text");
    write(
        &standalone,
        "jobs.yaml",
        "jobName: word\nappName: app\njobExecutionType: TRANSIENT\nshardingTotalCount: 1\n\
         cpuCount: 0.1\nmemoryMB: 16\nscriptCommandLine: 'true'\ncalendars: [off]\n---\n\
         calendarName: 'off'\nweekdays: [SUN]\n",
    );
    write(&standalone, "app.json", r#"{"appName":"app","cpuCount":0.1,"memoryMB":32}"#);
    // Nothing is there: the plan says so and changes nothing.
    let plan = standalone.cli(&["plan", "-f", documents, "--exit-code"]);
    assert_eq!(plan.status.code(), Some(1), "{plan:?}");
    let shown = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(shown.contains("+  \"jobName\": \"word\""), "{shown}");
    assert!(shown.ends_with("3 to create, 0 to update, 0 unchanged\n"), "{shown}");
    assert_eq!(standalone.get("/api/v1/jobs").1["items"], json!([]));
    let applied = text(&standalone.cli(&["apply", "-f", documents]));
    assert_eq!(applied, "app app created\ncalendar off created\njob word created\n");
    let again = text(&standalone.cli(&["apply", "-f", documents]));
    assert!(again.lines().all(|line| line.ends_with("unchanged")), "{again}");
    // What is exported is what was applied, in every form.
    for form in ["json", "yaml"] {
        let exported = text(&standalone.cli(&["export", "-o", form]));
        write(&standalone, "all.txt", &exported);
        let file = format!("{documents}/all.txt");
        let plan = text(&standalone.cli(&["plan", "-f", &file, "--exit-code"]));
        assert_eq!(plan, "0 to create, 0 to update, 3 unchanged\n");
    }
    let out = standalone.directory.path().join("exported");
    let out = out.to_str().expect("a path of text");
    text(&standalone.cli(&["export", "--app", "app", "--dir", out]));
    let plan = text(&standalone.cli(&["plan", "-f", out, "--exit-code"]));
    assert_eq!(plan, "0 to create, 0 to update, 3 unchanged\n");
    // A change is a line of the diff, and applied only then.
    let changed = std::fs::read_to_string(format!("{out}/job-word.json")).expect("a file");
    let changed = changed.replace("\"true\"", "\"echo hello\"");
    std::fs::write(format!("{out}/job-word.json"), changed).expect("a file");
    let plan = text(&standalone.cli(&["plan", "-f", out]));
    assert!(plan.contains("-  \"scriptCommandLine\": \"true\""), "{plan}");
    assert!(plan.contains("+  \"scriptCommandLine\": \"echo hello\""), "{plan}");
    assert!(plan.ends_with("0 to create, 1 to update, 2 unchanged\n"), "{plan}");
    let applied = text(&standalone.cli(&["apply", "-f", out]));
    assert!(applied.contains("job word updated"), "{applied}");
    // What would be refused is said by the plan, and what is refused stops nobody else.
    write(
        &standalone,
        "some.yaml",
        "jobName: bad\nappName: app\njobExecutionType: TRANSIENT\nshardingTotalCount: 1\ncpuCount: 0.1\n\
         memoryMB: 16\njobType: HTTP\n---\njobName: good\nappName: fresh\n\
         jobExecutionType: TRANSIENT\nshardingTotalCount: 1\ncpuCount: 0.1\nmemoryMB: 16\n\
         scriptCommandLine: 'true'\n---\nappName: fresh\ncpuCount: 0.1\nmemoryMB: 32\n---\n\
         jobName: lost\nappName: nowhere\njobExecutionType: TRANSIENT\nshardingTotalCount: 1\n\
         cpuCount: 0.1\nmemoryMB: 16\nscriptCommandLine: 'true'\n",
    );
    let some = format!("{documents}/some.yaml");
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let plan = standalone.cli(&["plan", "-f", &some]);
    assert_eq!(plan.status.code(), Some(2), "{plan:?}");
    let shown = said(&plan);
    assert!(shown.contains("error: job bad: ") && shown.contains("http.uri"), "{shown}");
    assert!(shown.contains("error: job lost: ") && shown.contains("nowhere"), "{shown}");
    assert!(shown.ends_with("2 of 4 documents refused\n"), "{shown}");
    assert!(!shown.contains("props") && !shown.contains("job good"), "{shown}");
    assert_eq!(standalone.get("/api/v1/apps/fresh").0, 404, "a plan stores nothing");
    let applied = standalone.cli(&["apply", "-f", &some]);
    assert_eq!(applied.status.code(), Some(1), "{applied:?}");
    assert_eq!(said(&applied), shown, "what the plan said");
    let stored = String::from_utf8_lossy(&applied.stdout).into_owned();
    assert_eq!(stored, "app fresh created\njob good created\n");
    let refused = standalone.cli(&["run", "list", "--limit", "0"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let idle = ["job", "trigger", "good", "--items", "0", "--item-param", "1=x"];
    let refused = standalone.cli(&idle);
    assert!(!refused.status.success() && said(&refused).contains("shard 1"), "{refused:?}");
    // What is wrong is said on one line, with the file's document.
    write(&standalone, "wrong.json", r#"{"jobName":"x","appName":"app","colour":"red"}"#);
    let refused = standalone.cli(&["apply", "-f", &format!("{documents}/wrong.json")]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("error: job x: ") && said.contains("colour"), "{said}");
}

#[test]
fn waiting_ends_as_the_run_ends() {
    let standalone = Standalone::start(&[]);
    standalone.register_app();
    standalone.register_job("good", "true", &json!({}));
    standalone.register_job("bad", "exit 3", &json!({}));
    let good = standalone.cli(&["job", "trigger", "good", "--wait", "-o", "json"]);
    let run: Value = serde_json::from_str(&text(&good)).expect("a run");
    assert_eq!(run["state"], "SUCCEEDED");
    let told = String::from_utf8_lossy(&good.stderr).into_owned();
    assert!(told.contains("triggered"), "{told}");
    let bad = standalone.cli(&["job", "trigger", "bad", "--wait"]);
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    // Who comes later sees it all, by who asked for it.
    text(&standalone.cli(&["job", "trigger", "good", "--submitter", "billing", "--wait"]));
    let args = ["events", "--submitter", "billing", "--after", "0.0", "-n", "5", "-o", "json"];
    let events = text(&standalone.cli(&args));
    let states: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event"))
        .map(|event| event["state"].as_str().expect("a state").to_owned())
        .collect();
    assert_eq!(states.first().map(String::as_str), Some("PENDING"), "{states:?}");
    assert!(states.iter().any(|state| state == "TASK_STAGING"), "{states:?}");
    for args in [
        &["task", "list"][..],
        &["agent", "list"],
        &["offer", "list"],
        &["executor", "list"],
        &["statistics", "--interval", "minute"],
        &["leader"],
        &["reconcile"],
        &["audit"],
    ] {
        for form in ["table", "json", "yaml"] {
            text(&standalone.cli(&[args, &["-o", form]].concat()));
        }
    }
    let refused = standalone.cli(&["job", "disable", "good", "--watch"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}

#[test]
fn what_is_watched_is_shown_again() {
    let standalone = Standalone::start(&[]);
    let mut watching = Command::new(program("shiftwork"))
        .args(["app", "list", "--watch=1"])
        .env("SHIFTWORK_SERVER", &standalone.http)
        .stdout(Stdio::piped())
        .spawn()
        .expect("shiftwork runs");
    let mut lines = BufReader::new(watching.stdout.take().expect("it is piped")).lines();
    let mut line = || lines.next().expect("it goes on").expect("text");
    assert!(line().starts_with("NAME"));
    standalone.register_app();
    while !line().starts_with("app ") {}
    watching.kill().expect("it runs");
    watching.wait().expect("it ends");
}

#[test]
fn shells_and_man_find_what_they_need() {
    let run = |args: &[&str]| Command::new(program("shiftwork")).args(args).output().expect("runs");
    let bash = text(&run(&["completion", "bash"]));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("shiftwork.bash");
    std::fs::write(&file, bash).expect("a file");
    let script = format!(
        "source {} && COMP_WORDS=(shiftwork job tr) COMP_CWORD=2 && \
         _shiftwork shiftwork tr job && echo ${{COMPREPLY[@]}}",
        file.display()
    );
    let completed = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
    assert_eq!(text(&completed).trim(), "trigger", "{completed:?}");
    for shell in ["zsh", "fish"] {
        assert!(text(&run(&["completion", shell])).contains("trigger"), "{shell}");
    }
    text(&run(&["man", "--dir", directory.path().to_str().expect("text")]));
    let page = std::fs::read_to_string(directory.path().join("shiftwork-job-trigger.1"));
    assert!(page.expect("a page").contains("Idempotency key"));
}

/// What a task that has ended wrote, and what it ran on, as gRPC tells it.
async fn wrote_hello(client: &mut SchedulerClient<tonic::transport::Channel>, task: String) {
    let request = wire::ReadLogsRequest { task: task.clone(), ..Default::default() };
    // What ended a moment ago may not be in the history yet.
    let begun = std::time::Instant::now();
    let log = loop {
        match client.read_logs(request.clone()).await {
            Ok(log) => break log.into_inner(),
            Err(status) => assert!(begun.elapsed() < PATIENCE, "{status:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert!(log.data.starts_with("hello"), "{log:?}");
    assert_eq!((log.source.as_str(), log.next), ("agent", log.data.len() as u64), "{log:?}");
    let request = wire::FollowLogsRequest { task, ..Default::default() };
    let mut following = client.follow_logs(request).await.expect("it streams").into_inner();
    let mut followed = String::new();
    loop {
        let told = following.message().await.expect("it goes on").expect("it says the end");
        match told.what.expect("something") {
            Followed::Part(part) => followed.push_str(&part.data),
            Followed::Rotated(_) => panic!("a short log is not rotated"),
            Followed::End(_) => break,
        }
    }
    assert_eq!(followed, log.data);
    assert!(following.message().await.expect("it ends").is_none(), "behind the end is nothing");
    let request = wire::ListExecutorsRequest { app: "app".to_owned(), ..Default::default() };
    let told = client.list_executors(request).await.expect("executors").into_inner();
    let executor = told.executors.first().expect("it waits for more work");
    assert_eq!(executor.state(), wire::ExecutorState::Running, "{executor:?}");
    let request = wire::ListAgentsRequest::default();
    let told = client.list_agents(request).await.expect("agents").into_inner();
    assert!(told.agents.iter().any(|agent| agent.id == executor.agent), "{told:?}");
}

#[test]
fn grpc_is_served_beside_rest() {
    let mut standalone = Standalone::start(&["--grpc", "127.0.0.1:0"]);
    let line = standalone.line(|line| line.starts_with("gRPC "));
    let address = line.trim_start_matches("gRPC").trim().to_owned();
    standalone.register_app();
    standalone.register_job("good", "echo hello", &json!({"shardingTotalCount": 2}));
    let states = block_on(async {
        let client = SchedulerClient::connect(format!("http://{address}")).await;
        let mut client = client.expect("it listens");
        let request = wire::WatchRequest { job: "good".to_owned(), ..Default::default() };
        let mut watching = client.watch(request).await.expect("it streams").into_inner();
        let request = wire::TriggerRequest { job: "good".to_owned(), ..Default::default() };
        let made = client.trigger(request).await.expect("a run").into_inner();
        let (mut states, mut task) = (Vec::new(), None);
        loop {
            let told = watching.message().await.expect("it goes on").expect("it goes on");
            let Some(What::Event(event)) = told.what else { continue };
            assert_eq!(event.run, made.run);
            let ended = event.kind() == wire::EventKind::Run && event.state == "SUCCEEDED";
            states.push(event.state);
            task = event.task_id.or(task);
            if ended {
                wrote_hello(&mut client, task.expect("a task")).await;
                return states;
            }
        }
    });
    for (state, times) in [("PENDING", 1), ("TASK_RUNNING", 2), ("TASK_FINISHED", 2)] {
        assert_eq!(states.iter().filter(|it| *it == state).count(), times, "{states:?}");
    }
    let leader = standalone.get("/api/v1/leader").1;
    let addresses = leader["addresses"].as_array().expect("addresses");
    assert!(addresses.contains(&json!(format!("grpc://{address}"))), "{leader}");
    standalone.interrupt();
}
