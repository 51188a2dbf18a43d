//! Authentication and TLS as a user meets them: the first admin, a token for a program, a certificate
//! that is replaced.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::harness::{Standalone, program, wait_for};

/// A client command with a token and an authority.
fn client(standalone: &Standalone, server: &str, token: &str, args: &[&str]) -> (bool, String) {
    let output = Command::new(program("shiftwork"))
        .args(args)
        .env("SHIFTWORK_SERVER", server)
        .env("SHIFTWORK_TOKEN", token)
        .env("SHIFTWORK_CA_FILE", standalone.directory.path().join("cert.pem"))
        .output()
        .expect("shiftwork runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn the_first_admin_makes_a_token_and_the_door_is_shut_over_tls() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let certificate = |name: &str| {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
        let made = made.expect("a certificate");
        std::fs::write(at("key.pem"), made.signing_key.serialize_pem()).expect("written");
        std::fs::write(at("cert.pem"), made.cert.pem()).expect("written");
        std::fs::write(at(name), made.cert.pem()).expect("written");
    };
    certificate("first.pem");
    let mut standalone = Standalone::prepare();
    std::fs::copy(at("cert.pem"), standalone.directory.path().join("cert.pem")).expect("copied");
    let (cert, key, token) = (at("cert.pem"), at("key.pem"), at("token"));
    standalone.start_without_waiting(&[
        "--require-authentication",
        "--admin-token-file",
        &token,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
    ]);
    assert!(standalone.http.starts_with("https://"), "{}", standalone.http);
    let server = standalone.http.clone();
    let admin = std::fs::read_to_string(&token).expect("it was made").trim().to_owned();
    wait_for("it answers", || client(&standalone, &server, &admin, &["status"]).0);
    let (done, said) = client(&standalone, &server, "", &["job", "list"]);
    assert!(!done && said.contains("authentication is required"), "{said}");
    let (done, said) = client(&standalone, &server, "sw_forged", &["job", "list"]);
    assert!(!done && said.contains("unknown or expired"), "{said}");
    let create = ["token", "create", "ci", "--role", "viewer", "--expires-in", "1d"];
    let (done, made) = client(&standalone, &server, &admin, &create);
    assert!(done, "{made}");
    let made = made.trim();
    assert!(client(&standalone, &server, made, &["job", "list"]).0);
    let (done, said) = client(&standalone, &server, made, &["token", "list"]);
    assert!(!done && said.contains("role admin"), "{said}");
    // Whoever may only read sees what would change, and is told that nobody has checked it.
    let document = at("app.json");
    std::fs::write(&document, r#"{"appName":"shop","colour":"red"}"#).expect("written");
    let plan = ["plan", "-f", document.as_str()];
    let (done, said) = client(&standalone, &server, made, &plan);
    assert!(done && said.contains("1 to create") && said.contains("not checked"), "{said}");
    let (done, said) = client(&standalone, &server, &admin, &plan);
    assert!(!done && said.contains("colour"), "{said}");
    let (_, log) = client(&standalone, &server, &admin, &["audit-log", "--kind", "token"]);
    assert!(log.contains("admin-token-file") && log.contains("ci"), "{log}");
    // Another certificate is taken up while it runs.
    certificate("second.pem");
    std::fs::copy(at("second.pem"), standalone.directory.path().join("cert.pem")).expect("copied");
    wait_for("the new certificate is served", || {
        client(&standalone, &server, made, &["job", "list"]).0
    });
    standalone.interrupt();
}

#[test]
fn prometheus_gets_a_token_that_reads_and_no_more() {
    let mut standalone = Standalone::prepare();
    let admin = standalone.directory.path().join("admin-token").display().to_string();
    standalone.start_again(&["--require-authentication", "--admin-token-file", &admin]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/compose/access");
    let place = standalone.directory.path().join("scraper");
    std::fs::create_dir(&place).expect("a directory");
    let file = place.join("token");
    let give = || {
        let programs = program("shiftwork").parent().expect("a directory").display().to_string();
        let output = Command::new("bash")
            .arg(script)
            .arg(&file)
            .env("SHIFTWORK_SERVER", &standalone.http)
            .env("SHIFTWORK_TOKEN_FILE", &admin)
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .output()
            .expect("bash runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(&file).expect("a token").trim().to_owned()
    };
    let token = give();
    assert_eq!(give(), token, "one is enough");
    std::fs::remove_file(&file).expect("it was there");
    let another = give();
    assert_ne!(another, token);
    // As another user reads it.
    let mode = std::fs::metadata(&file).expect("it").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    let get = |token: &str, path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H"]);
        curl.arg(format!("Authorization: Bearer {token}"))
            .arg(format!("{}{path}", standalone.http));
        String::from_utf8(curl.output().expect("curl runs").stdout).expect("a number")
    };
    assert_eq!(get(&another, "/metrics"), "200");
    assert_eq!(get(&another, "/api/v1/tokens"), "403");
    assert_eq!(get(&token, "/metrics"), "401", "it was revoked");
    assert_eq!(get("", "/metrics"), "401");
    standalone.interrupt();
}

#[test]
fn a_configuration_is_checked_and_its_mistakes_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("config.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).expect("written");
        let output = Command::new(program("shiftwork"))
            .args(["config", "check", "standalone", "--config"])
            .arg(&file)
            .env("SHIFTWORK_OFFER_HOLD", "7s")
            .output()
            .expect("shiftwork runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let (good, said) = check("launch-interval = \"3s\"\noffer-hold = \"9s\"\n");
    assert!(good, "{said}");
    assert!(said.contains("launch-interval = \"3s\"  # file"), "{said}");
    assert!(said.contains("offer-hold = \"7s\"  # environment"), "{said}");
    assert!(said.contains("http = \"127.0.0.1:8899\"  # default"), "{said}");
    for (text, named) in [
        ("launch-intervall = \"3s\"", "is \"launch-interval\" meant?"),
        ("registry = \"zk://a:1\"", "`scheduler`"),
        ("launch-interval = \"soon\"", "launch-interval"),
        ("launch-interval", "line 1"),
    ] {
        let (good, said) = check(text);
        assert!(!good && said.contains(named), "{text}: {said}");
    }
}
