//! What went wrong, as a page: the same problem that the API tells, for people. Absent: deciding what
//! is wrong.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use super::layout::{Page, Section};
use super::visitor::Visitor;
use super::{format, gate, parts};
use crate::api::{ApiState, Problem};
use crate::turn::Unavailable;

/// A problem on its way to becoming a page.
pub(super) struct Oops(Box<Problem>);

impl From<Problem> for Oops {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<Unavailable> for Oops {
    fn from(unavailable: Unavailable) -> Self {
        Problem::from(unavailable).into()
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let mut response = self.0.status().into_response();
        response.extensions_mut().insert(*self.0);
        response
    }
}

/// Lets in who may see a page, makes pages of problems, and tells pages who looks at them.
pub(super) async fn dress(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let visitor = Visitor::of(&parts, &state);
    parts.extensions.insert(visitor.clone());
    let template = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let rule = gate::rule(&parts.method, template.as_deref().unwrap_or_default());
    let request = Request::from_parts(parts, body);
    let settled = match rule.admit(template.as_deref().unwrap_or_default(), &request) {
        Ok(admission) => admission.settle().await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = settled {
        return if problem.status() == StatusCode::UNAUTHORIZED && *request.method() == Method::GET {
            let back = format::query(&[("back", visitor.address.as_str())]);
            Redirect::to(&format!("/login{back}")).into_response()
        } else {
            show(&visitor, &problem)
        };
    }
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => show(&visitor, &problem),
        None => response,
    }
}

/// The page of a problem.
pub(super) fn show(visitor: &Visitor, problem: &Problem) -> Response {
    let way_on = match problem.status() {
        StatusCode::NOT_FOUND => {
            "It may have been removed, or its record was trimmed from the history."
        }
        StatusCode::FORBIDDEN => "Ask somebody whose role allows it, or for a role that does.",
        StatusCode::UNAUTHORIZED => "Log in and try again: nothing was changed.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "An election takes seconds: this page tries again by itself."
        }
        _ => "Nothing was changed.",
    };
    let page = Page::new(problem.title(), Section::None).status(problem.status());
    let again = problem.status() == StatusCode::SERVICE_UNAVAILABLE;
    let page = if again { page.polled(3) } else { page };
    let body = html! {
        (parts::heading(problem.title(), html! {}))
        div.sheet {
            p.answer { (problem.detail()) }
            @for error in problem.errors() {
                @if !problem.detail().contains(&error.message) { p { code { (error.field) } " " (error.message) } }
            }
            p.more { (way_on) }
        }
    };
    page.show(visitor, body)
}
