//! Charts as SVG, drawn here: bars over time, a strip of runs, a meter, and bars of a run's tasks.
//! Everything a chart shows can be read as text too: in its titles, and in a table beside it. Absent:
//! colours; the style sheet has them, for light and dark.

use maud::{Markup, html};

/// A column of a bar chart: parts that are stacked, the lowest first.
pub(super) struct Column {
    /// What a pointer that rests on it shows, and a screen reader says.
    pub(super) title: String,
    /// Below it, where there is room.
    pub(super) label: Option<String>,
    /// Class and height of each part.
    pub(super) parts: Vec<(&'static str, u64)>,
}

/// Inner size of bar charts, in units of their view box.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;
/// Room for labels below.
const LABELS: f64 = 18.0;

/// Columns over time.
pub(super) fn columns(about: &str, columns: &[Column]) -> Markup {
    let highest = columns.iter().map(total).max().unwrap_or(0).max(1);
    let width = WIDTH / columns.len().max(1) as f64;
    html! {
        svg.chart viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + LABELS)) role="img" aria-label=(about) {
            line.axis x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            line.grid x1="0" x2=(WIDTH) y1="0.5" y2="0.5" {}
            text.scale x="2" y="12" { (super::format::grouped(highest)) }
            @for (place, column) in columns.iter().enumerate() {
                @let x = place as f64 * width;
                g {
                    title { (column.title) }
                    rect.hover x=(places(x)) y="0" width=(places(width)) height=(HEIGHT) {}
                    @for (class, y, height) in stacked(column, highest) {
                        rect class=(class) x=(places(x + width * 0.12)) y=(places(y))
                            width=(places(width * 0.76)) height=(places(height)) rx="1.5" {}
                    }
                    @if let Some(label) = &column.label {
                        text.label x=(places(x + width / 2.0)) y=(HEIGHT + 14.0) text-anchor="middle" {
                            (label)
                        }
                    }
                }
            }
        }
    }
}

fn total(column: &Column) -> u64 {
    column.parts.iter().map(|(_, height)| height).sum()
}

/// Class, top and height of each part of a column.
fn stacked(column: &Column, highest: u64) -> Vec<(&'static str, f64, f64)> {
    let mut below = 0;
    let mut parts = Vec::new();
    for (class, height) in column.parts.iter().filter(|(_, height)| *height > 0) {
        let scale = |value: u64| value as f64 * (HEIGHT - 8.0) / highest as f64;
        // What is there is to be seen, however little.
        let drawn = scale(*height).max(2.0);
        parts.push((*class, HEIGHT - scale(below) - drawn, drawn));
        below += height;
    }
    parts
}

/// With one digit behind the point: enough for a screen.
fn places(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// One run in a strip.
pub(super) struct Tick {
    /// Where it leads.
    pub(super) href: String,
    /// What a pointer that rests on it shows, and a screen reader says.
    pub(super) title: String,
    /// Its state, in lower case.
    pub(super) class: String,
    /// How long it took, by which its height goes.
    pub(super) took_ms: Option<i64>,
}

/// The last runs of a job, oldest first: colour is the outcome, height the time it took.
pub(super) fn strip(about: &str, ticks: &[Tick], room: usize) -> Markup {
    const STEP: f64 = 12.0;
    const TALL: f64 = 44.0;
    let longest = ticks.iter().filter_map(|tick| tick.took_ms).max().unwrap_or(0).max(1);
    let first = room.saturating_sub(ticks.len());
    html! {
        svg.strip viewBox=(format!("0 0 {} {TALL}", STEP * room as f64)) role="group" aria-label=(about) {
            @for place in 0..first {
                rect.blank x=(places(place as f64 * STEP + 1.0)) y=(TALL - 3.0) width=(STEP - 2.0) height="3" {}
            }
            @for (place, tick) in ticks.iter().enumerate() {
                @let took = tick.took_ms.unwrap_or(0).max(0) as f64 / longest as f64;
                @let height = 10.0 + (TALL - 10.0) * took.sqrt();
                a href=(tick.href) aria-label=(tick.title) {
                    title { (tick.title) }
                    rect class=(format!("s-{}", tick.class)) x=(places((first + place) as f64 * STEP + 1.0))
                        y=(places(TALL - height)) width=(STEP - 2.0) height=(places(height)) rx="2" {}
                }
            }
        }
    }
}

/// The outcomes of a job's last runs in a row of a table, oldest first.
pub(super) fn dots(classes: &[String], room: usize) -> Markup {
    let said: Vec<String> = classes.iter().map(|class| super::format::word(class)).collect();
    let about = if said.is_empty() { "no runs".to_owned() } else { said.join(", ") };
    let first = room.saturating_sub(classes.len());
    html! {
        svg.dots viewBox=(format!("0 0 {} 12", room * 8)) role="img" aria-label=(format!("last runs: {about}")) {
            @for (place, class) in classes.iter().enumerate() {
                rect class=(format!("s-{}", class.to_ascii_lowercase())) x=((first + place) * 8 + 1) y="0" width="6" height="12" rx="1.5" {}
            }
        }
    }
}

/// How much of something is used.
pub(super) fn meter(about: &str, used: f64, total: f64) -> Markup {
    let share = if total > 0.0 { (used / total).clamp(0.0, 1.0) } else { 0.0 };
    html! {
        svg.meter viewBox="0 0 200 8" preserveAspectRatio="none" role="img"
            aria-label=(format!("{about}: {:.0} percent used", share * 100.0)) {
            rect.track x="0" y="0" width="200" height="8" rx="4" {}
            rect.fill x="0" y="0" width=(places(share * 200.0)) height="8" rx="4" {}
        }
    }
}

/// A stretch of time in which a task was in one state.
pub(super) struct Stretch {
    /// When it began and ended, in thousandths of the whole width.
    pub(super) from: f64,
    /// Its end.
    pub(super) to: f64,
    /// Its state, in lower case.
    pub(super) class: String,
    /// What a pointer that rests on it shows.
    pub(super) title: String,
}

/// A row of a timeline: one shard, its attempts one behind the other.
pub(super) struct Lane {
    /// What stands before it.
    pub(super) label: String,
    /// Its stretches.
    pub(super) stretches: Vec<Stretch>,
}

/// A bar for each shard and attempt, under a scale of time.
pub(super) fn timeline(about: &str, lanes: &[Lane], scale: &[(f64, String)]) -> Markup {
    const LANE: f64 = 22.0;
    const LEFT: f64 = 64.0;
    const TOP: f64 = 20.0;
    const BARS: f64 = 816.0;
    let height = TOP + LANE * lanes.len() as f64 + 4.0;
    let x = |share: f64| places(LEFT + share.clamp(0.0, 1.0) * BARS);
    html! {
        svg.timeline viewBox=(format!("0 0 900 {}", places(height))) role="img" aria-label=(about) {
            @for (share, label) in scale {
                line.grid x1=(x(*share)) x2=(x(*share)) y1=(TOP - 4.0) y2=(places(height)) {}
                text.label x=(x(*share)) y="11" text-anchor=(anchor(*share)) { (label) }
            }
            @for (place, lane) in lanes.iter().enumerate() {
                @let y = TOP + place as f64 * LANE;
                text.lane x=(LEFT - 8.0) y=(places(y + 14.0)) text-anchor="end" { (lane.label) }
                line.rail x1=(LEFT) x2=(LEFT + BARS) y1=(places(y + 10.0)) y2=(places(y + 10.0)) {}
                @for stretch in &lane.stretches {
                    @let width = ((stretch.to - stretch.from) * BARS).max(3.0);
                    rect class=(format!("s-{}", stretch.class)) x=(x(stretch.from)) y=(places(y + 3.0))
                        width=(places(width)) height="14" rx="2.5" {
                        title { (stretch.title) }
                    }
                }
            }
        }
    }
}

/// Labels at the ends stay inside.
fn anchor(share: f64) -> &'static str {
    match share {
        share if share < 0.02 => "start",
        share if share > 0.98 => "end",
        _ => "middle",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_charts_are_escaped() {
        let column = Column {
            title: "<script>".to_owned(),
            label: Some("<b>".to_owned()),
            parts: vec![("ok", 3), ("bad", 0)],
        };
        let text = columns("a \"chart\"", &[column]).into_string();
        assert!(
            !text.contains("<script>") && !text.contains("<b>") && text.contains("&lt;script&gt;")
        );
        assert!(text.contains("a &quot;chart&quot;"), "{text}");
        // A part of nothing is not drawn.
        assert!(!text.contains("class=\"bad\""));
    }

    #[test]
    fn the_least_is_still_seen_and_the_highest_fits() {
        let column =
            Column { title: String::new(), label: None, parts: vec![("a", 1), ("b", 1_000_000)] };
        let parts = stacked(&column, 1_000_001);
        assert!(parts[0].2 >= 2.0 && parts[1].1 >= 0.0, "{parts:?}");
    }

    #[test]
    fn charts_of_nothing_are_drawn() {
        assert!(columns("none", &[]).into_string().contains("<svg"));
        assert!(strip("none", &[], 50).into_string().contains("blank"));
        assert!(meter("cpus", 1.0, 0.0).into_string().contains("0 percent"));
        assert!(dots(&[], 10).into_string().contains("no runs"));
        assert!(timeline("none", &[], &[]).into_string().contains("<svg"));
    }
}
