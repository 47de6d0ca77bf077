//! What is read of the benchmark's JSON: the lines that its rows tell.

use serde::Deserialize;

use crate::{
    Result,
    series::{Role, Series},
};

/// Rows with their lines.
#[derive(Debug)]
pub(crate) struct Rows(Vec<Row>);

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    #[serde(default)]
    series: Vec<Series>,
}

impl Rows {
    /// One object to a line.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let row = |(at, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| format!("line {} is no row: {error}", at + 1).into())
        };
        lines.map(row).collect::<Result<_>>().map(Self)
    }

    /// The lines of a row. One of ours is among them, and each has at least two points, or nothing could be drawn.
    pub(crate) fn series(&self, id: &str) -> Result<&[Series]> {
        let row = self.0.iter().find(|row| row.id == id).ok_or_else(|| format!("there is no row {id}"))?;
        if row.series.iter().all(|line| line.role != Role::Ours) {
            return Err(format!("the row {id} has no line of ours").into());
        }
        match row.series.iter().find(|line| line.points.len() < 2) {
            Some(line) => Err(format!("the row {id} has too few points of {}", line.name).into()),
            None => Ok(&row.series),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIT: &str = r#"{"id":"hit","ours":14.0,"series":[{"role":"ours","name":"o","points":[[1,2],[3,4.5]]}]}"#;

    fn error(text: &str) -> String {
        Rows::parse(text).and_then(|rows| rows.series("hit").map(drop)).unwrap_err().to_string()
    }

    #[test]
    fn lines_are_found_among_rows_that_have_none() {
        let rows = Rows::parse(&format!("{{\"id\":\"seal\",\"ours\":null}}\n{HIT}\n\n")).unwrap();
        let series = rows.series("hit").unwrap();
        assert_eq!(series, [Series::new(Role::Ours, "o", vec![[1.0, 2.0], [3.0, 4.5]])]);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(error(""), "there is no row hit");
        assert_eq!(error(r#"{"id":"hit"}"#), "the row hit has no line of ours");
        assert_eq!(error(&HIT.replace("ours\",\"name", "peer\",\"name")), "the row hit has no line of ours");
        assert_eq!(error(&HIT.replace(",[3,4.5]", "")), "the row hit has too few points of o");
    }

    #[test]
    fn what_is_no_row_is_named_by_its_line() {
        for bad in ["| a table |", "{}", &HIT.replace("4.5", "null"), &HIT.replace("\"ours\",\"name", "\"us\",\"name")]
        {
            assert!(error(&format!("{HIT}\n{bad}")).starts_with("line 2 is no row: "), "{bad}");
        }
    }
}
