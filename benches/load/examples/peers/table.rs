//! The table: medians over the rounds, and what each is of Duet over raw QUIC in the same round.

use crate::{
    case::{Case, Figures, Outcome},
    servers::Which,
};
use std::fmt::Write as _;

type Column = (&'static str, fn(&Figures) -> Option<f64>, usize);

const COLUMNS: &[Column] = &[
    ("µs of CPU / delivery", |figures| figures.cpu_us_per_delivery, 2),
    ("deliveries/s", |figures| figures.deliveries_per_s, 0),
    ("p50 ms", |figures| figures.p50_ms, 2),
    ("p99 ms", |figures| figures.p99_ms, 2),
    ("CPU ms / handshake", |figures| Some(figures.handshake_cpu_ms), 3),
    ("KiB / session", |figures| Some(figures.rss_kib_per_session), 1),
];

/// Markdown, one table a case. "Duet is" compares Duet over raw QUIC with that server, round by round: median, and range.
pub(crate) fn markdown(cases: &[Case], servers: &[Which], outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for case in cases {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n**{}**: {}\n", case.name, case.about);
        let _ = write!(text, "| server |");
        for (title, ..) in COLUMNS {
            let _ = write!(text, " {title} |");
        }
        let _ = writeln!(text, " Duet is |\n|---|{}---|", "---:|".repeat(COLUMNS.len()));
        for which in servers {
            let of = |name: &str| -> Vec<&Outcome> {
                outcomes.iter().filter(|o| o.case == case.name && o.server == name).collect()
            };
            let rounds = of(which.name());
            if rounds.is_empty() {
                continue;
            }
            let _ = write!(text, "| {} |", which.name());
            for (_, read, digits) in COLUMNS {
                let values = rounds.iter().filter_map(|outcome| read(&outcome.figures)).collect();
                let cell = median(values).map_or("–".to_owned(), |value| format!("{value:.digits$}"));
                let _ = write!(text, " {cell} |");
            }
            let duet = of(Which::DuetNative.name());
            let ratios: Vec<f64> = rounds
                .iter()
                .filter_map(|outcome| {
                    let same = duet.iter().find(|duet| duet.round == outcome.round)?;
                    ratio(&same.figures, &outcome.figures)
                })
                .collect();
            let _ = writeln!(text, " {} |", spread(ratios));
        }
    }
    text
}

/// Processor time a delivery, or memory where nothing is delivered: below 1 Duet needs less.
fn ratio(duet: &Figures, other: &Figures) -> Option<f64> {
    match (duet.cpu_us_per_delivery, other.cpu_us_per_delivery) {
        (Some(duet), Some(other)) if other > 0.0 => Some(duet / other),
        _ if other.rss_kib_per_session > 0.0 => Some(duet.rss_kib_per_session / other.rss_kib_per_session),
        _ => None,
    }
}

fn spread(mut ratios: Vec<f64>) -> String {
    ratios.sort_by(f64::total_cmp);
    match (ratios.first(), ratios.last(), median(ratios.clone())) {
        (Some(low), Some(high), Some(middle)) => format!("{middle:.2}× ({low:.2}–{high:.2})"),
        _ => "–".to_owned(),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
