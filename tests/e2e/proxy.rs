//! A way to a server that can be cut as networks are: nobody is told, nothing arrives any more. Absent:
//! what goes over it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a cut may go unnoticed here.
const TICK: Duration = Duration::from_millis(20);

/// Forwards connections until it is cut.
pub(crate) struct Proxy {
    pub(crate) address: String,
    state: Arc<State>,
}

/// Even while it is whole, odd while it is cut: a connection belongs to the number it was made under,
/// and ends with the cut's end, as what was lost never arrives.
#[derive(Default)]
struct State(AtomicU64);

impl State {
    fn number(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn is_cut(&self) -> bool {
        !self.number().is_multiple_of(2)
    }
}

// === impl Proxy ===

impl Proxy {
    /// To `server`, host and port.
    pub(crate) fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let state = Arc::new(State::default());
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (state, server) = (Arc::clone(&accepting), server.clone());
                std::thread::spawn(move || forward(&client, &server, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn cut(&self) {
        self.state.0.fetch_or(1, Ordering::AcqRel);
    }

    pub(crate) fn mend(&self) {
        if self.state.is_cut() {
            self.state.0.fetch_add(1, Ordering::AcqRel);
        }
    }
}

fn forward(client: &TcpStream, server: &str, state: &Arc<State>) {
    while state.is_cut() {
        std::thread::sleep(TICK);
    }
    let number = state.number();
    let Ok(server) = TcpStream::connect(server) else { return };
    std::thread::scope(|scope| {
        scope.spawn(|| copy(client, &server, number, state));
        copy(&server, client, number, state);
    });
}

fn copy(from: &TcpStream, to: &TcpStream, number: u64, state: &State) {
    let mut buffer = vec![0; 65_536];
    let _ = from.set_read_timeout(Some(TICK));
    let (mut from, mut to) = (from, to);
    while state.number() <= number + 1 {
        if state.is_cut() {
            std::thread::sleep(TICK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                if buffer.get(..count).is_none_or(|bytes| to.write_all(bytes).is_err()) {
                    break;
                }
            }
            Err(error) if is_pause(&error) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}
