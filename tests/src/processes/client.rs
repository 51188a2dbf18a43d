//! Requests to a scheduler's API. Absent: any knowledge of who leads; a redirect is followed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A client of one address.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    address: String,
}

// === impl Client ===

impl Client {
    /// `address` as `http://host:port`; no answer by `patience` is none.
    pub(crate) fn new(address: String, patience: Duration) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(patience).build()?;
        Ok(Self { http, address })
    }

    /// A request and its answer.
    pub(crate) async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.address));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let (status, answer) = self.call(reqwest::Method::GET, path, None).await?;
        ensure!(status == 200, "GET {path} is answered with {status}: {answer}");
        Ok(answer)
    }

    /// What is answered as text.
    pub(crate) async fn text(&self, path: &str) -> Result<String> {
        let answer = self.http.get(format!("{}{path}", self.address)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.call(reqwest::Method::POST, path, Some(body)).await?;
        ensure!(status < 300, "POST {path} is answered with {status}: {answer}");
        Ok(answer)
    }

    /// Whether the process at the other end leads and is ready.
    pub(crate) async fn leads(&self) -> bool {
        let answer = self.call(reqwest::Method::GET, "/readyz", None).await;
        answer.is_ok_and(|(status, _)| status == 200)
    }

    /// How many rows one of the queues has.
    pub(crate) async fn queued(&self, queue: &str) -> Result<usize> {
        let answer = self.get(&format!("/api/v1/queues/{queue}")).await?;
        let rows = answer.get("items").and_then(Value::as_array);
        Ok(rows.context("a queue without items")?.len())
    }
}
