//! Takes the requests of HTTP jobs and remembers what each was for. Absent: an opinion about it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// The header with the sharding context.
const CONTEXT: &str = "shardingcontext:";

/// A server that hears of each piece of work once it is done.
pub(crate) struct Sink {
    pub(crate) uri: String,
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
}

// === impl Sink ===

impl Sink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let uri = format!("http://{}/done", listener.local_addr().expect("its address"));
        let calls = Arc::new(Mutex::new(BTreeMap::new()));
        let heard = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let heard = Arc::clone(&heard);
                std::thread::spawn(move || answer(&stream, &heard));
            }
        });
        Self { uri, calls }
    }

    /// Runs, each with how often it was heard of.
    pub(crate) fn calls(&self) -> BTreeMap<String, usize> {
        self.calls.lock().expect("nobody panicked").clone()
    }
}

/// One connection, request after request; their bodies are empty.
fn answer(stream: &TcpStream, heard: &Mutex<BTreeMap<String, usize>>) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let mut run = None;
    loop {
        let line = lines.next()?.ok()?;
        if line.is_empty() {
            *heard.lock().ok()?.entry(run.take()?).or_default() += 1;
            (&mut &*stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
        } else if line.to_ascii_lowercase().starts_with(CONTEXT) {
            let context: Value = serde_json::from_str(line.get(CONTEXT.len()..)?).ok()?;
            run = context["runId"].as_str().map(str::to_owned);
        }
    }
}
