//! The table of routes: joins each operation to its handler and puts the frame of a route around
//! it. Absent: the routes themselves; they stand with their resources.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};

use super::ApiState;
use super::access::Rule;
use super::operation::Operation;
use super::params::RawParams;
use super::projection::Projection;
use super::schemas;

/// Routes and what is known of them.
pub(super) struct Table {
    router: Router<ApiState>,
    operations: Vec<Operation>,
}

/// What the frame of a route must know.
#[derive(Clone)]
struct Declared {
    query: Arc<[&'static str]>,
    /// The members of which `fields` chooses; none if it is not among the parameters.
    members: Option<Arc<[String]>>,
    rule: Rule,
    path: Arc<str>,
}

// === impl Table ===

impl Table {
    /// No routes.
    pub(super) fn new() -> Self {
        Self { router: Router::new(), operations: Vec::new() }
    }

    /// Adds a route.
    pub(super) fn route<H, T>(mut self, operation: Operation, handler: H) -> Self
    where
        H: Handler<T, ApiState>,
        T: 'static,
    {
        let declared = Declared {
            query: operation.query.iter().map(|param| param.name).collect(),
            members: operation.chosen_from().map(|schema| schemas::members(schema).into()),
            rule: operation.rule,
            path: operation.path.as_str().into(),
        };
        let methods = on(filter(&operation.method), handler)
            .route_layer(middleware::from_fn_with_state(declared.clone(), read_query))
            // The outer one: who may not come in is told nothing about the query.
            .route_layer(middleware::from_fn_with_state(declared, admit));
        self.router = self.router.route(&operation.path, methods);
        self.operations.push(operation);
        self
    }

    /// Adds the routes that a resource has.
    pub(super) fn with(self, routes: impl FnOnce(Self) -> Self) -> Self {
        routes(self)
    }

    /// The router, and what is to be said about it.
    pub(super) fn finish(self) -> (Router<ApiState>, Vec<Operation>) {
        (self.router, self.operations)
    }
}

/// The methods that operations have.
fn filter(method: &Method) -> MethodFilter {
    match *method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    }
}

/// Lets in who may use the route.
async fn admit(State(declared): State<Declared>, request: Request, next: Next) -> Response {
    let settled = match declared.rule.admit(&declared.path, &request) {
        Ok(admission) => admission.settle().await,
        Err(problem) => Err(problem),
    };
    match settled {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Reads the query by what the route declares, and cuts the answer to the fields asked for.
async fn read_query(
    State(declared): State<Declared>,
    mut request: Request,
    next: Next,
) -> Response {
    let read = RawParams::parse(request.uri()).only(&declared.query).and_then(|params| {
        let members = declared.members.as_deref().unwrap_or_default();
        let fields = Projection::read(&params, members)?;
        Ok((params, fields))
    });
    let (params, fields) = match read {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(params);
    let response = next.run(request).await;
    match fields {
        Some(fields) => fields.apply(response).await,
        None => response,
    }
}
