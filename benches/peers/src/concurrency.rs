//! Throughput against concurrency: the sides of a row once more, at each of several numbers of calls in flight.

use std::time::Duration;

use crate::{
    Result,
    rounds::{Rounds, Side},
    series::Series,
};

const IN_FLIGHT: [usize; 5] = [1, 4, 16, 64, 256];

/// A line for each side. It is measured in few and short rounds: what has to reach a goal is the row.
pub(crate) fn lines<'a>(
    rounds: &Rounds,
    sides: impl Fn(Rounds, usize) -> Result<Vec<Side<'a>>>,
) -> Result<Vec<Series>> {
    let brief = if rounds.quick {
        Rounds { count: 1, time: Duration::from_millis(40), quick: true }
    } else {
        Rounds { count: 3, time: Duration::from_millis(150), quick: false }
    };
    let mut lines: Vec<Series> = Vec::new();
    for in_flight in IN_FLIGHT {
        for side in brief.alternate(sides(brief, in_flight)?)? {
            let point = [in_flight as f64, side.median()];
            match lines.iter_mut().find(|line| line.name == side.name) {
                Some(line) => line.points.push(point),
                None => lines.push(Series::new(side.role, side.name, vec![point])),
            }
        }
    }
    Ok(lines)
}
