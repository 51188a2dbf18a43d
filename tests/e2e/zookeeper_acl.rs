//! `deploy/zookeeper/acl` against a real server: the namespace belongs to one user, whose scheduler
//! works in it and whose nodes nobody else reads. Absent: TLS to the servers.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::cluster::Cluster;
use crate::harness::{program, wait_for};

/// ZooKeeper's command line as one program, as its own package has it.
const CLIENT: &str = "#!/bin/sh\n\
    exec java -Xmx64m -cp /usr/share/java/zookeeper.jar:/usr/share/java/zookeeper-jute.jar:\
    /usr/share/java/slf4j-simple.jar:/usr/share/java/commons-cli.jar \
    org.apache.zookeeper.ZooKeeperMain \"$@\"\n";

#[test]
fn a_namespace_made_for_a_user_is_closed_to_others() {
    let cluster = Cluster::start();
    let here = cluster.directory.path();
    let client = here.join("zkCli.sh");
    std::fs::write(&client, CLIENT).expect("a file");
    std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let credentials = here.join("credentials");
    std::fs::write(&credentials, "shiftwork:open,se=same:2$\n").expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a parent")
        .join("deploy/zookeeper/acl");
    let close = |credentials: &Path| -> Output {
        Command::new(&script)
            .args([&cluster.zookeeper.address(), "/e2e"])
            .arg(credentials)
            .env("ZKCLI", &client)
            .output()
            .expect("it runs")
    };
    let said = |output: &Output| {
        String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
    };
    let closed = close(&credentials);
    assert!(closed.status.success(), "{}", said(&closed));
    // Once more changes nothing; with other credentials it is refused, and says so.
    let again = close(&credentials);
    assert!(again.status.success(), "{}", said(&again));
    let others = here.join("others");
    std::fs::write(&others, "mallory:guess\n").expect("a file");
    let refused = close(&others);
    assert!(!refused.status.success(), "{}", said(&refused));

    let file = credentials.to_string_lossy().into_owned();
    std::fs::write(&others, "shiftwork:open sesame\n").expect("a file");
    let unusable = close(&others);
    assert!(said(&unusable).contains("no blanks"), "{}", said(&unusable));

    let scheduler = cluster.scheduler_by(
        "only",
        &cluster.registry(),
        &cluster.master.address,
        &["--registry-credentials-file", &file],
    );
    wait_for("it leads", || scheduler.leads());
    let look = |extra: &[&str]| {
        Command::new(program("shiftwork"))
            .args(["registry", "ls", "--registry", &cluster.registry()])
            .args(extra)
            .stdin(Stdio::null())
            .output()
            .expect("it runs")
    };
    let own = look(&["--registry-credentials-file", &file]);
    assert!(own.status.success() && said(&own).contains("ha"), "{}", said(&own));
    let stranger = look(&[]);
    assert!(!stranger.status.success(), "{}", said(&stranger));
}
