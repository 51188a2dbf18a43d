//! Documents of apps, calendars and jobs: applied, read, listed, removed, switched on and off.

use shiftwork_engine::command::Command;
use shiftwork_engine::{Assumed, Order};
use shiftwork_proto::shiftwork::v1 as wire;
use shiftwork_proto::shiftwork::v1::document::Document as Text;

use super::request;
use crate::api::ApiState;
use crate::api::etag::IfMatch;
use crate::api::extract::document_name;
use crate::api::page::Page;
use crate::api::problem::Problem;
use crate::api::rest::apps::Apps;
use crate::api::rest::calendars::Calendars;
use crate::api::rest::documents::{Document, Switched, listed, one};
use crate::api::rest::jobs::Jobs;
use crate::auth::{Actor, Identity};

/// Documents of one call: bounds how long it takes, as the size of a message bounds them all.
const DOCUMENTS_MAX: usize = 1_000;

/// Applies documents, jobs last, and stops at the first that is refused.
///
/// # Errors
/// The refusal, naming the document.
pub(super) async fn apply(
    state: &ApiState,
    by: &Actor,
    request: wire::ApplyRequest,
) -> Result<wire::ApplyResponse, Problem> {
    let mut documents: Vec<(usize, wire::Document)> =
        request.documents.into_iter().enumerate().collect();
    if documents.len() > DOCUMENTS_MAX {
        let message = format!("are more than {DOCUMENTS_MAX}: send them in several calls");
        return Err(Problem::parameter("documents", message));
    }
    // The order within a kind is the caller's.
    documents.sort_by_key(|(_, document)| order(document));
    let mut applied = Vec::with_capacity(documents.len());
    let mut to = Target { state, by, dry: request.dry_run.then(Assumed::default) };
    for (index, document) in documents {
        let place = format!("documents[{index}]");
        let guard = match document.if_match.as_str() {
            "" => IfMatch::any(),
            tag => IfMatch::read(tag)
                .map_err(|message| Problem::parameter(&format!("{place}.if_match"), message))?,
        };
        let conditional = !document.if_match.is_empty();
        let done = match document.document {
            Some(Text::App(text)) => to.put::<Apps>(text, guard, conditional).await,
            Some(Text::Calendar(text)) => to.put::<Calendars>(text, guard, conditional).await,
            Some(Text::Job(text)) => to.put::<Jobs>(text, guard, conditional).await,
            None => {
                Err(Problem::parameter(&place, "holds neither an app nor a calendar nor a job"))
            }
        };
        applied.push(done.map_err(|problem| problem.of(&place))?);
    }
    Ok(wire::ApplyResponse { applied })
}

fn order(document: &wire::Document) -> u8 {
    match &document.document {
        Some(Text::App(_)) => 0,
        Some(Text::Calendar(_)) => 1,
        Some(Text::Job(_)) | None => 2,
    }
}

/// Where documents go.
struct Target<'a> {
    state: &'a ApiState,
    by: &'a Actor,
    /// In a dry run, what would have been registered by now.
    dry: Option<Assumed>,
}

impl Target<'_> {
    /// Replaces a document, or creates what is not there.
    async fn put<D: Document>(
        &mut self,
        text: String,
        guard: IfMatch,
        conditional: bool,
    ) -> Result<wire::Applied, Problem> {
        let value = serde_json::from_str(&text)
            .map_err(|error| Problem::malformed(format!("is not valid JSON: {error}")))?;
        let name = document_name::<D::Name>(&value, D::NAME_FIELD)?;
        let update = guard.guard(D::update(name.clone(), text.clone().into_bytes()));
        let created = match self.change(update).await {
            Ok(()) => false,
            Err(problem) if problem.is_not_found() && !conditional => {
                self.change(D::create(text.into_bytes())).await?;
                true
            }
            Err(problem) => return Err(problem),
        };
        if let Some(assumed) = &mut self.dry {
            D::assume(&name, assumed);
        }
        Ok(wire::Applied { kind: D::NOUN.to_owned(), name: name.to_string(), created })
    }

    async fn change(&self, change: Command) -> Result<(), Problem> {
        match &self.dry {
            Some(assumed) => self.state.try_out(&self.by.identity, change, assumed.clone()).await,
            None => self.state.command(self.by.clone(), change).await.map(drop),
        }
    }
}

/// One of a kind.
///
/// # Errors
/// 403 for another app's, 404 by name.
pub(super) async fn get<D: Document>(
    state: &ApiState,
    identity: &Identity,
    text: &str,
) -> Result<D::View, Problem> {
    let view = one::<D>(state, request::name("name", text)?).await?;
    if D::OF_APP {
        // One that cannot be read is of no app, which no scope covers.
        identity.require_app(&D::app_of(&view).unwrap_or_default())?;
    }
    Ok(view)
}

/// A page of a kind.
///
/// # Errors
/// What is wrong with the page, or 503.
pub(super) async fn list<D: Document>(
    state: &ApiState,
    identity: &Identity,
    filter: D::Filter,
    page: Option<wire::Page>,
) -> Result<Page<D::View>, Problem> {
    let at = request::page(D::LIST, page)?;
    listed::<D>(state, &identity.apps, filter, Order::Ascending, &at).await
}

/// Removes one of a kind.
///
/// # Errors
/// What stands in the way.
pub(super) async fn delete<D: Document>(
    state: &ApiState,
    by: &Actor,
    name: &str,
    if_match: &str,
) -> Result<(), Problem> {
    let name: D::Name = request::name("name", name)?;
    let guard = match if_match {
        "" => IfMatch::any(),
        tag => IfMatch::read(tag).map_err(|message| Problem::parameter("if_match", message))?,
    };
    state.command(by.to_owned(), guard.guard(D::delete(name))).await.map(drop)
}

/// Switches one of a kind on or off.
///
/// # Errors
/// 404 by name, or 503.
pub(super) async fn switch<D: Switched>(
    state: &ApiState,
    by: &Actor,
    text: &str,
    enabled: bool,
    reason: String,
) -> Result<D::View, Problem> {
    let name: D::Name = request::name("name", text)?;
    let change = D::set_enabled(name, enabled, request::given(reason));
    state.command(by.to_owned(), change).await?;
    get::<D>(state, &by.identity, text).await
}
