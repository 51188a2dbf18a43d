//! The shell between the engine and a Mesos master: one subscription, one ordered queue of calls,
//! protobuf on HTTP/1.1, with TLS or without. No decision of scheduling is made here, and no Mesos type leaves it.

mod backoff;
mod calls;
mod choice;
mod config;
mod credentials;
mod detect;
mod driver;
mod framework;
mod handle;
mod http;
mod masters;
mod pipeline;
mod session;
mod subscribe;
pub mod wire;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::{
    CALLS_QUEUED_MAX_DEFAULT, ConfigError, DriverConfig, FAILOVER_TIMEOUT_DEFAULT, Timing,
};
pub use credentials::{Credentials, CredentialsError};
pub use driver::spawn;
pub use framework::framework_info;
pub use handle::{Actions, DriverHandle};
pub use session::{DriverState, DriverStats};
