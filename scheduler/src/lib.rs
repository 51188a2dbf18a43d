//! The shells around the engine: the owner loop, the Mesos driver, the registry, the history, the
//! API and the command line. What is decided stands in `shiftwork-engine`.

pub mod agent_files;
pub mod api;
pub mod app;
pub mod audit;
pub mod audit_log;
pub mod auth;
pub mod auth_args;
pub mod cli;
pub mod config;
mod console;
pub mod cycle_times;
pub mod demo;
pub mod elastic_job_args;
pub mod engine_args;
pub mod feed;
pub mod grpc_args;
pub mod history_args;
mod inbox;
mod linger;
pub mod log_args;
pub mod mesos;
pub mod mesos_args;
pub mod metrics;
pub mod oidc;
pub mod oidc_args;
pub mod otel;
mod private_file;
pub mod registry;
pub mod secrets;
pub mod standalone;
pub mod tls;
pub mod tls_server;
pub mod trace;
mod trace_rows;
pub mod turn;
pub mod tzdb_args;
