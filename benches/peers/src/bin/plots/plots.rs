//! The three pictures.

use plotters::style::RGBColor;

use crate::{
    Result,
    axis::{Axis, Scale, count, percent, time},
    picture::{Line, Look, Panel},
    rows::Rows,
    series::{Role, Series},
};

const BLUE: RGBColor = RGBColor(9, 105, 218);
const BLACK: RGBColor = RGBColor(36, 41, 47);
/// Others, told apart in whichever way colours are seen.
const OTHERS: [RGBColor; 6] = [
    RGBColor(204, 85, 0),
    RGBColor(17, 119, 51),
    RGBColor(170, 68, 153),
    RGBColor(153, 119, 0),
    RGBColor(136, 34, 85),
    RGBColor(0, 128, 128),
];

/// How long a call for a valid token takes: of each side, how its batches are distributed.
pub(crate) fn hit(rows: &Rows) -> Result<Vec<Panel>> {
    let series = rows.series("hit")?;
    Ok(vec![Panel {
        title: "A valid token: how long a call takes",
        x: Axis::of_each("percentile of batches of calls", Scale::Logit, xs(series), percent)?,
        y: Axis::log("time of a call, mean of a batch", ys(series), time)?,
        lines: by_side(series),
    }])
}

/// How many loads a second a store serves, the more of them are in flight.
pub(crate) fn concurrency(rows: &Rows) -> Result<Vec<Panel>> {
    let panel = |title, id| -> Result<_> {
        let series = rows.series(id)?;
        Ok(Panel {
            title,
            x: Axis::of_each("loads in flight", Scale::Log, xs(series), count)?,
            y: Axis::from_zero("loads per second", ys(series), count)?,
            lines: by_side(series),
        })
    };
    Ok(vec![panel("Redis: throughput", "redis-load-64")?, panel("SQLite: throughput", "sqlite-load-64")?])
}

/// How long a load takes, the more visitors there are.
pub(crate) fn growth(rows: &Rows) -> Result<Vec<Panel>> {
    let series = rows.series("grow")?;
    Ok(vec![Panel {
        title: "How long a load takes among many visitors",
        x: Axis::of_each("visitors in the store", Scale::Log, xs(series), count)?,
        y: Axis::log("time of a load", ys(series), time)?,
        lines: by_store(series)?,
    }])
}

fn xs(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|line| &line.points).map(|point| point[0])
}

fn ys(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|line| &line.points).map(|point| point[1])
}

/// Each side has a colour.
fn by_side(series: &[Series]) -> Vec<Line> {
    let mut others = OTHERS.into_iter().cycle();
    let lines = series.iter().map(|line| {
        let (name, points) = (line.name.clone(), line.points.clone());
        match line.role {
            Role::Ours => Line { name, colour: BLUE, look: Look::Strong, points },
            Role::Limit => Line { name: format!("limit: {name}"), colour: BLACK, look: Look::Dashed, points },
            Role::Peer | Role::Foreign => {
                Line { name, colour: others.next().unwrap_or(BLACK), look: Look::Thin, points }
            }
        }
    });
    ours_on_top(lines.collect())
}

/// Each store has a colour, and ours are strong.
fn by_store(series: &[Series]) -> Result<Vec<Line>> {
    let mut stores = Vec::new();
    for line in series {
        let store = line.store.as_ref().ok_or_else(|| format!("{} tells no store", line.name))?;
        if !stores.contains(&store) {
            stores.push(store);
        }
    }
    let lines = series.iter().map(|line| {
        let at = stores.iter().position(|store| Some(*store) == line.store.as_ref()).unwrap_or_default();
        let colour = std::iter::once(BLUE).chain(OTHERS).cycle().nth(at).unwrap_or(BLACK);
        let look = if line.role == Role::Ours { Look::Strong } else { Look::Dashed };
        Line { name: line.name.clone(), colour, look, points: line.points.clone() }
    });
    Ok(ours_on_top(lines.collect()))
}

fn ours_on_top(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by_key(|line| line.look == Look::Strong);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(role: Role, name: &str, store: Option<&str>) -> Series {
        Series { store: store.map(str::to_owned), ..Series::new(role, name, vec![[1.0, 1.0], [2.0, 2.0]]) }
    }

    #[test]
    fn ours_is_on_top_and_no_two_others_look_the_same() {
        let peers = ["a", "b", "c", "d", "e"].map(|name| series(Role::Peer, name, None));
        let mut all = vec![series(Role::Ours, "ours", None), series(Role::Limit, "pointer", None)];
        all.extend(peers);
        all.push(series(Role::Foreign, "sdk", None));
        let lines = by_side(&all);
        assert_eq!(lines.last().map(|line| (line.name.as_str(), line.look)), Some(("ours", Look::Strong)));
        assert_eq!(lines[0].name, "limit: pointer");
        for (at, line) in lines.iter().enumerate() {
            assert!(lines[..at].iter().all(|other| other.colour != line.colour), "{}", line.name);
        }
    }

    #[test]
    fn what_is_in_one_store_has_one_colour() {
        let lines = by_store(&[
            series(Role::Ours, "ours, Redis", Some("Redis")),
            series(Role::Ours, "ours, SQLite", Some("SQLite")),
            series(Role::Peer, "theirs, Redis", Some("Redis")),
        ])
        .unwrap();
        let colour = |name| lines.iter().find(|line| line.name == name).map(|line| line.colour);
        assert_eq!(colour("ours, Redis"), colour("theirs, Redis"));
        assert_ne!(colour("ours, Redis"), colour("ours, SQLite"));
        assert_eq!(lines[0].look, Look::Dashed);
        assert!(by_store(&[series(Role::Ours, "ours", None)]).is_err());
    }

    #[test]
    fn no_picture_comes_of_a_row_that_is_missing() {
        let rows = Rows::parse(r#"{"id":"hit"}"#).unwrap();
        for picture in [hit, concurrency, growth] {
            assert!(picture(&rows).is_err());
        }
    }
}
