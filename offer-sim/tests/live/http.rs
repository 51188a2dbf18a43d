//! Status codes, texts and streams over a real connection.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use offer_sim::{Config, Running};
use serde_json::Value;
use shiftwork_proto::mesos::v1::scheduler::{Call, call, event};
use tokio_util::sync::CancellationToken;

use super::client::{Framework, JSON, PROTOBUF};

async fn master(config: Config) -> (Running, CancellationToken) {
    let shutdown = CancellationToken::new();
    let config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..config };
    (offer_sim::start(config, shutdown.clone()).await.unwrap(), shutdown)
}

/// Every request of the recording of errors is sent byte by byte (but for the ids, which a new
/// master gives anew) and must be answered with the recorded status and text.
#[tokio::test]
async fn errors_are_answered_as_recorded() {
    let (running, shutdown) = master(Config::default()).await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../proto/tests/recordings/06-http-errors.jsonl");
    let lines: Vec<Value> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let framework = Framework::subscribe(running.addr, PROTOBUF, None).await;
    let recorded_id = "6056fc49-17e3-4f43-a91d-b14917d771b8-0000";
    let recorded_stream = "b8055fed-8def-467d-8f77-2b0b80f09463";
    let translate = |text: &str| {
        text.replace(recorded_id, &framework.id.value)
            .replace(recorded_stream, &framework.stream_id)
    };
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/api/v1/scheduler", running.addr);
    let mut compared = 0;
    // The first request is the SUBSCRIBE above, the last the TEARDOWN below.
    let requests = lines.iter().enumerate().skip(2).filter(|(_, line)| line["dir"] == "request");
    for (number, request) in requests {
        let response = &lines[number + 1];
        if request["body"]["type"] == "TEARDOWN" || response["dir"] != "response" {
            continue;
        }
        let mut post = http.post(&url).body(replaced(
            &base64(request["body_b64"].as_str().unwrap()),
            recorded_id,
            &framework.id.value,
        ));
        for (name, value) in request["headers"].as_object().unwrap() {
            post = post.header(name, translate(value.as_str().unwrap()));
        }
        let answer = post.send().await.unwrap();
        assert_eq!(u64::from(answer.status().as_u16()), response["status"].as_u64().unwrap());
        if let Some(text) = response["body_text"].as_str() {
            assert_eq!(answer.text().await.unwrap(), translate(text), "line {number}");
        }
        compared += 1;
    }
    assert_eq!(compared, 11, "requests with a recorded answer");
    let answer = http.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.headers()["allow"], "POST");
    let health = http.get(format!("http://{}/health", running.addr)).send().await.unwrap();
    assert_eq!(health.status(), 200);
    shutdown.cancel();
    running.wait().await;
}

fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len(), "lengths inside the message must stay true");
    let mut result = bytes.to_vec();
    for at in 0..result.len().saturating_sub(old.len() - 1) {
        if result[at..].starts_with(old.as_bytes()) {
            result[at..at + new.len()].copy_from_slice(new.as_bytes());
        }
    }
    result
}

/// Standard base64 with padding.
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        bits = (bits << 6) | ALPHABET.iter().position(|letter| *letter == byte).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

#[tokio::test]
async fn heartbeats_come_on_the_stream_in_both_formats() {
    let heartbeat_interval = Duration::from_millis(20);
    let (running, shutdown) = master(Config { heartbeat_interval, ..Config::default() }).await;
    for format in [PROTOBUF, JSON] {
        let mut framework = Framework::subscribe(running.addr, format, None).await;
        for _ in 0..3 {
            assert_eq!(framework.next().await.r#type(), event::Type::Heartbeat);
        }
        let teardown = Call { r#type: Some(call::Type::Teardown.into()), ..Call::default() };
        framework.call(teardown).await;
        while let Some(event) = framework.try_next().await {
            assert_eq!(event.r#type(), event::Type::Heartbeat, "nothing else before the end");
        }
    }
    shutdown.cancel();
    running.wait().await;
}

#[tokio::test]
async fn a_second_subscription_ends_the_first() {
    let (running, shutdown) = master(Config::default()).await;
    let mut first = Framework::subscribe(running.addr, PROTOBUF, None).await;
    let second = Framework::subscribe(running.addr, JSON, Some(first.id.clone())).await;
    assert_eq!(second.id, first.id);
    let error = first.next().await.error.unwrap();
    assert_eq!(error.message, "Framework failed over");
    assert!(first.try_next().await.is_none(), "the stream ends");
    shutdown.cancel();
    running.wait().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_said() {
    let (running, shutdown) = master(Config::default()).await;
    let config = Config { listen: running.addr, ..Config::default() };
    let error = offer_sim::start(config, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains(&running.addr.to_string()), "{error}");
    shutdown.cancel();
    running.wait().await;
}
