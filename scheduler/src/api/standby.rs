//! What a scheduler answers that does not lead: where the leader is. Absent: passing requests on
//! itself; clients follow the redirect.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use super::problem::Problem;
use crate::registry::Standing;

/// Whether the process is alive, and what it counts, is for itself to say.
const ALIVE: &str = "/healthz";
const METRICS: &str = super::rest::METRICS_PATH;

/// Whether it is of use, too: a balancer that asks must not be sent elsewhere.
const READY: &str = "/readyz";

/// Who leads is known here as well as there.
const LEADER: &str = super::rest::LEADER_PATH;

fn own_answer(path: &str) -> bool {
    matches!(path, ALIVE | METRICS | LEADER)
}

/// Answers in place of `router` while another process leads.
pub fn with_standby(router: Router, standing: watch::Receiver<Standing>) -> Router {
    router.layer(middleware::from_fn_with_state(standing, answer))
}

async fn answer(
    State(standing): State<watch::Receiver<Standing>>,
    request: Request,
    next: Next,
) -> Response {
    let standing = standing.borrow().clone();
    let leader = match standing {
        Standing::Standby { leader } if !own_answer(request.uri().path()) => leader,
        Standing::Hindered { why } if !own_answer(request.uri().path()) => {
            let detail = format!("this scheduler cannot take the lead: {why}");
            return Problem::unavailable(detail).into_response();
        }
        _ => return next.run(request).await,
    };
    let address = leader.and_then(|leader| leader.addresses.into_iter().next());
    let location = address.and_then(|address| {
        HeaderValue::from_str(&at(&address, request.uri())).ok().map(|there| (address, there))
    });
    match location {
        Some((address, _)) if request.uri().path() == READY => {
            let detail = format!("this scheduler stands by: the leader is at {address}");
            Problem::unavailable(detail).into_response()
        }
        // The same request, the same method and body, at the leader.
        Some((_, there)) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, there)]).into_response()
        }
        None => Problem::unavailable(
            "this scheduler does not lead, and nobody else does as yet: an election takes seconds",
        )
        .into_response(),
    }
}

/// The same resource elsewhere.
fn at(address: &str, uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    format!("{}{path}", address.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{Answer, send};
    use crate::registry::LeaderInfo;
    use axum::body::Body;
    use axum::routing::get;

    async fn ask(standing: Standing, method: &str, path: &str) -> Answer {
        let routes = ["/healthz", "/readyz", "/api/v1/jobs"];
        let router = routes.iter().fold(Router::new(), |router, path| {
            router.route(path, get(async || "here").post(async || "here"))
        });
        let (_sender, standing) = watch::channel(standing);
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        send(with_standby(router, standing), request).await
    }

    fn standby(address: &str) -> Standing {
        let leader = LeaderInfo {
            id: "other".to_owned(),
            addresses: vec![address.to_owned()],
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        Standing::Standby { leader: Some(leader) }
    }

    #[tokio::test]
    async fn what_keeps_it_from_the_lead_is_said() {
        let hindered = Standing::Hindered { why: "ZooKeeper at a:1 failed: start it".into() };
        for path in ["/readyz", "/api/v1/jobs"] {
            let answer = ask(hindered.clone(), "GET", path).await;
            assert_eq!(answer.status, 503);
            assert!(answer.text.contains("cannot take the lead: ZooKeeper at a:1"), "{path}");
        }
        assert_eq!(ask(hindered, "GET", "/healthz").await.text, "here");
    }

    #[tokio::test]
    async fn who_leads_or_is_starting_answers_itself() {
        for standing in [Standing::Starting, Standing::Leading] {
            for path in ["/healthz", "/readyz", "/api/v1/jobs"] {
                assert_eq!(ask(standing.clone(), "GET", path).await.text, "here");
            }
        }
    }

    #[tokio::test]
    async fn a_standby_sends_everybody_to_the_leader() {
        for method in ["GET", "POST"] {
            let standing = standby("http://10.0.0.1:8899/");
            let answer = ask(standing, method, "/api/v1/jobs?limit=3").await;
            assert_eq!(answer.status, 307);
            assert_eq!(answer.headers["location"], "http://10.0.0.1:8899/api/v1/jobs?limit=3");
        }
    }

    #[tokio::test]
    async fn a_standby_is_alive_and_not_ready_and_says_who_leads() {
        assert_eq!(ask(standby("http://10.0.0.1:1"), "GET", "/healthz").await.text, "here");
        let answer = ask(standby("http://10.0.0.1:1"), "GET", "/readyz").await;
        assert_eq!(answer.status, 503);
        assert!(answer.text.contains("http://10.0.0.1:1"), "{}", answer.text);
    }

    #[tokio::test]
    async fn without_a_leader_there_is_nowhere_to_go() {
        let answer = ask(Standing::Standby { leader: None }, "POST", "/api/v1/jobs").await;
        assert_eq!((answer.status, answer.headers["retry-after"].as_bytes()), (503, &b"3"[..]));
        // An address that is no header value is as good as none.
        let answer = ask(standby("http://a\nb"), "GET", "/api/v1/jobs").await;
        assert_eq!(answer.status, 503);
    }
}
