//! `shiftwork apply`: create or update all documents of a file. Absent: removing what the file does
//! not name.

use clap::Args;
use reqwest::Method;

use super::client::{Answer, ApiPath, Client, Payload};
use super::error::CliError;
use super::file::{self, Document, FileArg};
use super::output::{self, Output};
use super::show;

/// What to apply.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A document, an array of documents, or {"apps":[…],"calendars":[…],"jobs":[…]}
    #[command(flatten)]
    file: FileArg,
}

/// Applies the documents, jobs last, and stops at the first that is refused.
pub(super) async fn run(client: &Client, out: Output, args: ApplyArgs) -> Result<(), CliError> {
    let text = args.file.read()?;
    let documents = file::documents(&text).map_err(|problem| args.file.wrong(problem))?;
    let mut answers = Vec::new();
    let mut refused = None;
    for document in documents {
        let what = format!("{} {}", document.kind.noun(), document.name);
        match apply(client, document).await {
            Ok(answer) => {
                let verb = if answer.created { "created" } else { "updated" };
                if out == Output::Table {
                    show::done(out, "", &format!("{what} {verb}"))?;
                }
                answers.push(answer.text);
            }
            Err(source) => {
                refused = Some(CliError::Of { what, source: Box::new(source) });
                break;
            }
        }
    }
    if out == Output::Json {
        // Also when one was refused: those before it are stored.
        output::print(&format!("[{}]", answers.join(",\n")))?;
    }
    refused.map_or(Ok(()), Err)
}

/// Updates, or creates what is not there.
async fn apply(client: &Client, document: Document) -> Result<Answer, CliError> {
    let collection = document.kind.collection();
    let path = ApiPath::of(&[collection, &document.name]);
    let payload = Payload::json(document.text.clone());
    match client.change(Method::PUT, &path, payload).await {
        Err(error) if error.is_not_found() => {
            let path = ApiPath::of(&[collection]);
            client.change(Method::POST, &path, Payload::json(document.text)).await
        }
        answer => answer,
    }
}
