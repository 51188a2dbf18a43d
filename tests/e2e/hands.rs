//! ZooKeeper's own command line beside a scheduler: what a hand changes takes effect or is reported,
//! and a namespace that Elastic-Job-Cloud left is carried on. Absent: changes through the API.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::cluster::{Cluster, Process};
use crate::harness::{program, wait_for};

/// Where Debian's packages put the command line and what it needs.
const CLASS_PATH: &str = "/usr/share/java/zookeeper.jar:/usr/share/java/zookeeper-jute.jar:\
                          /usr/share/java/slf4j-simple.jar:/usr/share/java/commons-cli.jar";

fn cli(cluster: &Cluster) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xmx64m", "-cp", CLASS_PATH, "org.apache.zookeeper.ZooKeeperMain", "-server"])
        .arg(cluster.zookeeper.address())
        .stderr(Stdio::null());
    command
}

/// Types lines into the command line, and gives what it prints.
fn zk(cluster: &Cluster, lines: &[&str]) -> String {
    let mut process =
        cli(cluster).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("java starts");
    let mut stdin = process.stdin.take().expect("its stdin is piped");
    let typed = lines.join("\n") + "\nquit\n";
    stdin.write_all(typed.as_bytes()).expect("it reads");
    drop(stdin);
    let output = process.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes a node whose data has several lines.
fn zk_create(cluster: &Cluster, node: &str, data: &str) {
    let status = cli(cluster).args(["create", node, data]).stdout(Stdio::null()).status();
    assert!(status.expect("java starts").success(), "{node}");
}

fn problem_of(scheduler: &Process, job: &str) -> Option<String> {
    let (_, answer) = scheduler.get(&format!("/api/v1/jobs/{job}"));
    answer["problem"].as_str().map(str::to_owned)
}

#[test]
fn what_a_hand_changes_takes_effect_or_is_reported() {
    let cluster = Cluster::start();
    let scheduler = cluster.scheduler("only");
    wait_for("it leads", || scheduler.leads());
    let done = cluster.directory.path().join("done");
    let lines = || std::fs::read_to_string(&done).unwrap_or_default().lines().count();
    let document = |cron: &str| {
        format!(
            "{{\"jobName\":\"j\",\"appName\":\"app\",\"jobType\":\"SCRIPT\",\
             \"jobExecutionType\":\"TRANSIENT\",\"scriptCommandLine\":\"echo>>{};\",\
             \"cron\":\"{cron}\",\"shardingTotalCount\":1,\"cpuCount\":0.1,\"memoryMB\":16}}",
            done.display()
        )
    };
    zk(
        &cluster,
        &[
            "create /e2e/shiftwork/config \"\"",
            "create /e2e/shiftwork/config/app \"\"",
            "create /e2e/shiftwork/config/job \"\"",
            "create /e2e/shiftwork/config/app/app \
             '{\"appName\":\"app\",\"cpuCount\":0.1,\"memoryMB\":32}'",
            &format!("create /e2e/shiftwork/config/job/j '{}'", document("* * * * * ?")),
            "create /e2e/shiftwork/config/job/j/garbage x",
            "create \"/e2e/shiftwork/config/job/no name\" x",
            "create /e2e/shiftwork/garbage x",
        ],
    );
    wait_for("the job made by hand fires", || lines() >= 2);

    // As `create` writes it without data.
    zk(
        &cluster,
        &[
            "create /e2e/shiftwork/state/disable \"\"",
            "create /e2e/shiftwork/state/disable/job \"\"",
            "create /e2e/shiftwork/state/disable/job/j",
        ],
    );
    wait_for("it is disabled", || scheduler.get("/api/v1/jobs/j").1["enabled"] == false);
    zk(&cluster, &["delete /e2e/shiftwork/state/disable/job/j"]);
    wait_for("it is enabled", || scheduler.get("/api/v1/jobs/j").1["enabled"] == true);

    zk(&cluster, &["set /e2e/shiftwork/config/job/j '{\"jobName\":\"j\",'"]);
    wait_for("what cannot be read is reported on the job", || {
        problem_of(&scheduler, "j").is_some_and(|problem| problem.contains("JSON"))
    });
    let (_, status) = scheduler.get("/api/v1/status");
    assert_eq!(status["problems"].as_array().map(Vec::len), Some(1), "{status}");
    let before = lines();
    zk(&cluster, &[&format!("set /e2e/shiftwork/config/job/j '{}'", document("* * * * * ?"))]);
    wait_for("mended, it fires", || lines() > before);
    assert_eq!(problem_of(&scheduler, "j"), None);

    zk(&cluster, &["deleteall /e2e/shiftwork/config/job/j"]);
    wait_for("it is gone", || scheduler.get("/api/v1/jobs/j").0 == 404);
    assert!(scheduler.leads(), "nothing of this cost the lead");
}

/// A 2.x namespace: JSON, a counter, a lost shard, a flag; a task of a daemon that the master forgot.
#[test]
fn a_namespace_of_elastic_job_cloud_2_is_carried_on() {
    let cluster = Cluster::start();
    let done = cluster.directory.path().join("done");
    let job = |name: &str, execution: &str, shards: u32, command: &str| {
        format!(
            "create /e2e/elastic-job-cloud/config/job/{name} '{{\"jobName\":\"{name}\",\
             \"jobClass\":\"com.dangdang.ddframe.job.api.script.ScriptJob\",\"jobType\":\"SCRIPT\",\
             \"cron\":\"0 0 0 1 1 ? 2099\",\"shardingTotalCount\":{shards},\
             \"shardingItemParameters\":\"0\\u003da\",\"jobParameter\":\"\",\"failover\":true,\
             \"misfire\":true,\"description\":\"\",\"jobProperties\":{{\"job_exception_handler\":\
             \"x.H\",\"executor_service_handler\":\"x.E\"}},\"scriptCommandLine\":\"{command}\",\
             \"appName\":\"foo_app\",\"cpuCount\":0.1,\"memoryMB\":16.0,\
             \"jobExecutionType\":\"{execution}\"}}'"
        )
    };
    let echo = format!("echo $SHIFTWORK_JOB $SHIFTWORK_ITEM >> {};", done.display());
    let task =
        |shard: &str| format!("{shard}@-@READY@-@gone-S0@-@8f3c4e5a-0000-4000-8000-000000000000");
    let nodes = [
        "",
        "/config",
        "/config/app",
        "/config/job",
        "/state",
        "/state/ready",
        "/state/running",
        "/state/running/daemon",
        "/state/failover",
        "/state/failover/lost",
        "/state/disable",
        "/state/disable/job",
        "/ha",
    ];
    let mut typed = vec!["create /e2e \"\"".to_owned()];
    typed.extend(nodes.map(|node| format!("create /e2e/elastic-job-cloud{node} \"\"")));
    typed.push(
        "create /e2e/elastic-job-cloud/config/app/foo_app '{\"appName\":\"foo_app\",\
         \"appURL\":\"\",\"bootstrapScript\":\"shiftwork-executor\",\"cpuCount\":0.1,\
         \"memoryMB\":64.0,\"appCacheEnable\":true,\"eventTraceSamplingCount\":0}'"
            .to_owned(),
    );
    typed.push(job("ready", "TRANSIENT", 1, &echo));
    typed.push(job("lost", "TRANSIENT", 3, &echo));
    typed.push(job("off", "TRANSIENT", 1, &echo));
    typed.push(job("daemon", "DAEMON", 2, "true;"));
    let state = "create /e2e/elastic-job-cloud/state";
    typed.push(format!("{state}/ready/ready 2"));
    typed.push(format!("{state}/ready/off 1"));
    typed.push(format!("{state}/disable/job/off off"));
    typed.push(format!("{state}/failover/lost/lost@-@1 {}", task("lost@-@1")));
    typed.push(format!("{state}/running/daemon/daemon@-@0 {}", task("daemon@-@0")));
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    zk(&cluster, &typed);

    let args = ["--namespace", "elastic-job-cloud", "--reconcile-grace", "2s"];
    let scheduler =
        cluster.scheduler_by("only", &cluster.registry(), &cluster.master.address, &args);
    wait_for("it leads", || scheduler.leads());
    let done_lines = || {
        let text = std::fs::read_to_string(&done).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    wait_for("what waited has run", || done_lines() == ["lost 1", "ready 0", "ready 0"]);
    wait_for("both shards of the daemon run, the forgotten one anew", || {
        let (_, running) = scheduler.get("/api/v1/queues/running");
        let items = running["items"].as_array().cloned().unwrap_or_default();
        let lives = |row: &&serde_json::Value| {
            row["run"].as_str().is_some_and(|run| run.starts_with("daemon@"))
                && !row["taskId"].as_str().is_some_and(|task| task.contains("gone-S0"))
        };
        items.iter().filter(lives).count() == 2
    });
    // Its tools read what is there now.
    let seen = zk(
        &cluster,
        &[
            "get /e2e/elastic-job-cloud/state/ready/off",
            "ls /e2e/elastic-job-cloud/state/running/daemon",
            "ls /e2e/elastic-job-cloud/state/failover",
        ],
    );
    assert!(seen.contains("\n1\n"), "the counter of the disabled job: {seen}");
    assert!(seen.contains("[daemon@-@0, daemon@-@1]"), "{seen}");
    assert_eq!(scheduler.get("/api/v1/jobs/off").1["enabled"], false);
    let (_, status) = scheduler.get("/api/v1/status");
    assert_eq!(status["problems"].as_array().map(Vec::len), Some(0), "{status}");
}

/// A 3.x namespace: YAML.
#[test]
fn a_namespace_of_elastic_job_cloud_3_is_carried_on() {
    let cluster = Cluster::start();
    let done = cluster.directory.path().join("done");
    zk(
        &cluster,
        &[
            "create /e2e \"\"",
            "create /e2e/elasticjob-cloud \"\"",
            "create /e2e/elasticjob-cloud/config \"\"",
            "create /e2e/elasticjob-cloud/config/app \"\"",
            "create /e2e/elasticjob-cloud/config/job \"\"",
            "create /e2e/elasticjob-cloud/state \"\"",
            "create /e2e/elasticjob-cloud/state/ready \"\"",
            "create /e2e/elasticjob-cloud/state/ready/test_job 1",
        ],
    );
    zk_create(
        &cluster,
        "/e2e/elasticjob-cloud/config/app/foo_app",
        "appCacheEnable: true\nappName: foo_app\nappURL: ''\nbootstrapScript: shiftwork-executor\n\
         cpuCount: 0.1\neventTraceSamplingCount: 0\nmemoryMB: 64.0\n",
    );
    zk_create(
        &cluster,
        "/e2e/elasticjob-cloud/config/job/test_job",
        &format!(
            "appName: foo_app\ncpuCount: 0.1\ncron: 0 0 0 1 1 ? 2099\ndescription: ''\n\
             disabled: false\nfailover: true\njobExecutionType: TRANSIENT\njobName: test_job\n\
             jobParameter: ''\nmaxTimeDiffSeconds: 0\nmemoryMB: 16.0\nmisfire: true\n\
             monitorExecution: false\noverwrite: false\nprops:\n  script.command.line: 'echo \
             $SHIFTWORK_ITEM >> {};'\nreconcileIntervalMinutes: 0\nshardingItemParameters: ''\n\
             shardingTotalCount: 2\n",
            done.display()
        ),
    );
    let scheduler = cluster.scheduler_by(
        "only",
        &cluster.registry(),
        &cluster.master.address,
        &["--namespace", "elasticjob-cloud"],
    );
    wait_for("it leads", || scheduler.leads());
    wait_for("what waited has run", || {
        std::fs::read_to_string(&done).is_ok_and(|text| text.lines().count() == 2)
    });
    // A document changed by its console, which writes YAML.
    let document = "appName: foo_app\ncpuCount: 0.1\ncron: '* * * * * ?'\njobExecutionType: \
                    TRANSIENT\njobName: test_job\nmemoryMB: 16.0\nshardingTotalCount: 0\n";
    let node = "/e2e/elasticjob-cloud/config/job/test_job";
    let status = cli(&cluster).args(["set", node, document]).stdout(Stdio::null()).status();
    assert!(status.expect("java starts").success());
    wait_for("its mistake is reported by field", || {
        problem_of(&scheduler, "test_job").is_some_and(|it| it.contains("shardingTotalCount"))
    });
    let output = Command::new(program("shiftwork"))
        .args(["registry", "ls", "config/job", "--namespace", "elasticjob-cloud"])
        .args(["--registry", &cluster.registry()])
        .output()
        .expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("test_job"), "{output:?}");
}
