//! The table of all rows, as people read it.

use std::fmt::Write;

use crate::row::Told;

/// In Markdown.
pub(crate) fn table(rows: &[Told]) -> String {
    let mut table = String::from(
        "| row | work | unit | ours | peer | limit | to peer | to limit | goal | met |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |\n",
    );
    for row in rows {
        let best = row.others.iter().find(|other| Some(other.value) == row.peer).map_or("", |other| other.name);
        let counted: String = row.counted.iter().map(|(what, count)| format!("; {} {what}", short(*count))).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {}{counted} | {} | {} | {} {best} | {} | {} | {} | {} | {} |",
            row.id,
            row.work,
            row.unit,
            if row.ours.is_nan() { "not measured".into() } else { short(row.ours) },
            row.peer.map_or("–".into(), short),
            row.limit.map_or("–".into(), short),
            ratio(row.vs_peer, row.spread_peer)
                + &row.vs_foreign.map_or(String::new(), |times| format!("; SDK {times:.2}")),
            ratio(row.vs_limit, row.spread_limit),
            if row.goal.is_empty() { "reported" } else { &row.goal },
            match row.met {
                _ if row.goal.is_empty() => "–",
                true => "yes",
                false => "**NO**",
            },
        );
    }
    table
}

fn ratio(middle: Option<f64>, spread: Option<[f64; 2]>) -> String {
    match (middle, spread) {
        (Some(middle), Some([least, most])) => format!("{middle:.2} ({least:.2}–{most:.2})"),
        _ => "–".into(),
    }
}

/// Three digits at least.
fn short(value: f64) -> String {
    match value {
        value if value.abs() >= 100.0 || value == value.trunc() => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}
