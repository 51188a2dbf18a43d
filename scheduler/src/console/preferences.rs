//! `/preferences`: time zone and theme, kept in cookies of the browser and nowhere else.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use maud::html;
use shiftwork_schedule::{Zone, tzdb};

use super::forms::{QueryFields, Sent};
use super::layout::{Page, Section};
use super::visitor::{THEME_COOKIE, Theme, Visitor, ZONE_COOKIE, own_address, saying};
use super::{Answer, parts};
use crate::api::{ApiState, Problem};

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/preferences", get(ask).post(save))
}

/// `GET /preferences?back=`
async fn ask(
    State(state): State<ApiState>,
    visitor: Visitor,
    QueryFields(query): QueryFields,
) -> Answer {
    let back = own_address(query.text("back")).to_owned();
    let themes = Theme::ALL.map(|theme| {
        (
            theme.name(),
            match theme {
                Theme::System => "as the system is set",
                Theme::Light => "light",
                Theme::Dark => "dark",
            },
        )
    });
    let body = html! {
        (parts::heading("Preferences", html! {}))
        form.small method="post" action="/preferences" {
            input type="hidden" name="back" value=(back);
            fieldset {
                legend { "How pages are shown to you" }
                div.fields {
                    div.field {
                        label for="zone-field" { "Time zone" }
                        select #zone-field name="zone" {
                            @for name in tzdb().names() { option value=(name) selected[name == visitor.zone.name()] { (name) } }
                        }
                        span.help { "All times on the pages are in this zone. Jobs are not touched by it: theirs stands in their documents; where they name none it is " (state.default_zone.name()) "." }
                    }
                    div.field {
                        label for="theme" { "Theme" }
                        select #theme name="theme" {
                            @for (value, label) in themes { option value=(value) selected[value == visitor.theme.name()] { (label) } }
                        }
                    }
                }
            }
            p.actions { button.primary { "Save" } a.button href=(back) { "Back" } }
        }
    };
    Ok(Page::new("Preferences", Section::None).show(&visitor, body))
}

/// `POST /preferences`
async fn save(Sent(sent): Sent) -> Answer {
    let back = own_address(sent.text("back"));
    let mut response = Redirect::to(&saying(back, "preferences")).into_response();
    let mut keep = |name: &str, value: &str| {
        let value = super::format::segment(value);
        let cookie = format!("{name}={value}; Path=/; Max-Age=31536000; SameSite=Strict");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    };
    if let Some(name) = sent.given("zone") {
        let zone =
            Zone::parse(name).map_err(|error| Problem::parameter("zone", error.to_string()))?;
        keep(ZONE_COOKIE, zone.name());
    }
    if let Some(name) = sent.given("theme") {
        let wrong = || Problem::parameter("theme", "must be system, light or dark");
        keep(THEME_COOKIE, Theme::read(name).ok_or_else(wrong)?.name());
    }
    Ok(response)
}
