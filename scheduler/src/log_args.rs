//! What is logged and in which form, on the command line and in the environment. Absent: what is
//! worth logging.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::otel::Otel;

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line, for programs.
    Json,
}

/// The log's options. Which lines are written is said by `SHIFTWORK_LOG` in the syntax of `tracing`.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Form of the log, which goes to stderr
    #[arg(
        long,
        env = "SHIFTWORK_LOG_FORMAT",
        value_enum,
        default_value = "pretty",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
}

impl LogArgs {
    /// Begins to log, lines of `default` level and above unless `SHIFTWORK_LOG` says otherwise.
    /// Control characters are escaped in either form: what a script or a client sent can neither end
    /// a line nor command a terminal.
    /// What is logged does not decide which traces go to a collector.
    pub fn init(&self, default: &str, otel: Option<&Otel>) {
        let filter = EnvFilter::try_from_env("SHIFTWORK_LOG");
        let filter = filter.unwrap_or_else(|_| EnvFilter::new(default));
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            // Or else a line that cannot be written is complained of on stderr as well, which panics: a
            // full disk or a reader that left must not stop what is logged about.
            .log_internal_errors(false);
        let lines = match self.log_format {
            LogFormat::Pretty => {
                let fields = debug_fn(|writer, field, value| {
                    let text = escaped(&format!("{value:?}"));
                    match field.name() {
                        "message" => write!(writer, "{text}"),
                        name => write!(writer, "{name}={text}"),
                    }
                });
                lines.fmt_fields(fields.delimited(" ")).boxed()
            }
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .with(otel.map(Otel::layer))
            .init();
    }
}

/// The text with every control character as `\u{…}` or its short form.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_line_or_commands_a_terminal() {
        let script = "line\nERROR forged\r\u{1b}[2J\u{9b}31m größer";
        assert_eq!(escaped(script), "line\\nERROR forged\\r\\u{1b}[2J\\u{9b}31m größer");
    }
}
