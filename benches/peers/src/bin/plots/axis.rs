//! Axes: where a value is, which values are marked, and how they are written.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::Result;

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    Log,
    /// Percents, of which those near 0 and near 100 are as far apart as they are rare.
    Logit,
}

impl Scale {
    fn has(self, value: f64) -> bool {
        match self {
            Self::Linear => value.is_finite() && value >= 0.0,
            Self::Log => value.is_finite() && value > 0.0,
            Self::Logit => value > 0.0 && value < 100.0,
        }
    }

    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.log10(),
            Self::Logit => (value / (100.0 - value)).ln(),
        }
    }
}

/// An axis that has room for all values that it was made for.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) title: &'static str,
    scale: Scale,
    first: f64,
    last: f64,
    /// Its share that is left free at either end.
    margin: f64,
    /// What is marked.
    ticks: Vec<f64>,
    write: fn(f64) -> String,
}

impl Axis {
    /// Each value that there is, marked.
    pub(crate) fn of_each(
        title: &'static str,
        scale: Scale,
        values: impl Iterator<Item = f64>,
        write: fn(f64) -> String,
    ) -> Result<Self> {
        let mut ticks = all(title, scale, values)?;
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        Ok(Self { title, scale, first: ticks[0], last: ticks[ticks.len() - 1], margin: 0.025, ticks, write })
    }

    /// From zero to a round number.
    pub(crate) fn from_zero(
        title: &'static str,
        values: impl Iterator<Item = f64>,
        write: fn(f64) -> String,
    ) -> Result<Self> {
        const MARKS: f64 = 5.0;
        let most = all(title, Scale::Linear, values)?.into_iter().fold(0.0, f64::max);
        let step = round_numbers().find(|round| *round >= most / MARKS).unwrap_or(most);
        let steps = (most / step).ceil().max(1.0);
        let ticks = (0..=steps as u32).map(|n| f64::from(n) * step).collect();
        Ok(Self { title, scale: Scale::Linear, first: 0.0, last: steps * step, margin: 0.0, ticks, write })
    }

    /// Logarithmic, from a round number to another.
    pub(crate) fn log(
        title: &'static str,
        values: impl Iterator<Item = f64>,
        write: fn(f64) -> String,
    ) -> Result<Self> {
        let values = all(title, Scale::Log, values)?;
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        let first = round_numbers().take_while(|round| *round <= least).last().unwrap_or(least);
        let last = round_numbers().find(|round| *round >= most && *round > first).unwrap_or(most);
        let within = || round_numbers().filter(|round| (first..=last).contains(round));
        let powers: Vec<_> = within().filter(|round| is_power_of_ten(*round)).collect();
        let ticks = if powers.len() < 4 { within().collect() } else { powers };
        Ok(Self { title, scale: Scale::Log, first, last, margin: 0.0, ticks, write })
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let [first, last, at] = [self.first, self.last, *value].map(|value| self.scale.place(value));
        let share = self.margin + (1.0 - 2.0 * self.margin) * (at - first) / (last - first);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // All marks are alike.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.first..self.last
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        (self.write)(*value)
    }
}

/// All values, at least one, each of which has a place.
fn all(title: &str, scale: Scale, values: impl Iterator<Item = f64>) -> Result<Vec<f64>> {
    let values: Vec<_> = values.collect();
    match values.iter().find(|value| !scale.has(**value)) {
        Some(value) => Err(format!("{value} cannot be drawn as: {title}").into()),
        None if values.is_empty() => Err(format!("there is nothing to be drawn as: {title}").into()),
        None => Ok(values),
    }
}

/// 1, 2 and 5 of each power of ten.
fn round_numbers() -> impl Iterator<Item = f64> {
    (-3..13).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)))
}

fn is_power_of_ten(round: f64) -> bool {
    let power = round.log10();
    (power - power.round()).abs() < 1e-9
}

/// `20 ns`, `1 µs`.
pub(crate) fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n >= 1e9 => format!("{} s", n / 1e9),
        n if n >= 1e6 => format!("{} ms", n / 1e6),
        n if n >= 1e3 => format!("{} µs", n / 1e3),
        n => format!("{n} ns"),
    }
}

/// `1,000,000`.
pub(crate) fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `99.9`.
pub(crate) fn percent(number: f64) -> String {
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| axis.format_ext(tick)).collect()
    }

    #[test]
    fn a_log_axis_begins_and_ends_at_round_numbers() {
        let axis = Axis::log("t", [13.7, 4_321.0].into_iter(), time).unwrap();
        assert_eq!([10.0, 5_000.0].map(|value| axis.map(&value, (0, 100))), [0, 100]);
        assert_eq!(written(&axis), ["10 ns", "20 ns", "50 ns", "100 ns", "200 ns", "500 ns", "1 µs", "2 µs", "5 µs"]);
        let wide = Axis::log("t", [100.0, 3_000_000.0].into_iter(), time).unwrap();
        assert_eq!(written(&wide), ["100 ns", "1 µs", "10 µs", "100 µs", "1 ms"]);
        // Upwards, where pixels are counted downwards.
        assert_eq!([1e3, 1e4, 1e5].map(|value| wide.map(&value, (0, -4_699))), [-1_000, -2_000, -3_000]);
        let same = Axis::log("t", [100.0].into_iter(), time).unwrap();
        assert!(same.first < same.last);
    }

    #[test]
    fn a_linear_axis_begins_at_zero_and_has_few_marks() {
        let axis = Axis::from_zero("t", [3.0, 187_000.0].into_iter(), count).unwrap();
        assert_eq!([0.0, 50_000.0, 200_000.0].map(|value| axis.map(&value, (400, 0))), [400, 300, 0]);
        assert_eq!(written(&axis), ["0", "50,000", "100,000", "150,000", "200,000"]);
        let nothing = Axis::from_zero("t", [0.0].into_iter(), count).unwrap();
        assert!(nothing.first < nothing.last);
    }

    #[test]
    fn percentiles_are_as_far_apart_as_they_are_rare() {
        let axis = Axis::of_each("t", Scale::Logit, [99.9, 50.0, 1.0, 99.0, 50.0].into_iter(), percent).unwrap();
        assert_eq!(written(&axis), ["1", "50", "99", "99.9"]);
        let places = [1.0, 50.0, 99.0, 99.9].map(|value| axis.map(&value, (0, 1_000)));
        // As far to either side of the middle, but for a pixel, and room at the ends.
        assert!((places[1] - places[0]).abs_diff(places[2] - places[1]) <= 1, "{places:?}");
        assert_eq!((places[0], places[3]), (25, 975));
    }

    #[test]
    fn what_has_no_place_is_an_error() {
        for (scale, bad) in [(Scale::Log, 0.0), (Scale::Linear, f64::NAN), (Scale::Linear, -1.0), (Scale::Logit, 100.0)]
        {
            let error = Axis::of_each("hours", scale, [1.0, bad].into_iter(), percent).unwrap_err();
            assert!(error.to_string().ends_with("cannot be drawn as: hours"), "{error}");
        }
        assert!(Axis::log("t", [].into_iter(), time).is_err());
    }

    #[test]
    fn numbers_are_written_with_their_units() {
        assert_eq!([0.5, 20.0, 1_000.0, 2e5, 5e6, 1e9].map(time), ["0.5 ns", "20 ns", "1 µs", "200 µs", "5 ms", "1 s"]);
        assert_eq!([0.0, 256.0, 1_000.0, 1_234_567.0].map(count), ["0", "256", "1,000", "1,234,567"]);
    }
}
