//! Compiles the `.proto` files with a compiler written in Rust: no system `protoc` is needed. Also writes
//! down which fields proto2 requires, since prost reads an absent one as its default.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use protox::prost_reflect::{Cardinality, DescriptorPool, Kind, MessageDescriptor};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = [
        "mesos/v1/scheduler/scheduler.proto",
        "mesos/v1/executor/executor.proto",
        "shiftwork/v1/task.proto",
        "shiftwork/v1/scheduler.proto",
        "offersim/v1/admin.proto",
        "offersim/v1/agent_link.proto",
    ];
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    std::fs::write(out.join("required.rs"), required_fields(&compiler.descriptor_pool()))?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]).include_file("all.rs");
    // Services become clients and servers; messages are as without it.
    tonic_prost_build::configure()
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}

/// A table of all messages: a row each, which names the rows of the messages within it by number.
fn required_fields(pool: &DescriptorPool) -> String {
    let messages: BTreeMap<String, MessageDescriptor> =
        pool.all_messages().map(|message| (message.full_name().to_owned(), message)).collect();
    let numbers: BTreeMap<&str, usize> =
        messages.keys().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
    let mut table = String::from("static MESSAGES: &[MessageRule] = &[\n");
    for (name, message) in &messages {
        let (mut required, mut within) = (String::new(), String::new());
        for field in message.fields() {
            if field.cardinality() == Cardinality::Required {
                let _infallible = write!(required, "({}, {:?}), ", field.number(), field.name());
            }
            if let Kind::Message(inner) = field.kind()
                && let Some(number) = numbers.get(inner.full_name())
            {
                let _infallible = write!(within, "({}, {number}), ", field.number());
            }
        }
        let _infallible = writeln!(
            table,
            "    MessageRule {{ name: {name:?}, required: &[{required}], within: &[{within}] }},"
        );
    }
    table + "];\n"
}
