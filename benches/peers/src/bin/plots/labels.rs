//! The names of lines, written beside their ends: none covers a line or another name.

/// A text in lines of at most so many characters, where its words allow that.
pub(crate) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Where the middles of labels go that want to be at a height and have a height each: in the same order, none over another, and none
/// below the bottom while there is room above.
pub(crate) fn spread(wanted: &[(f64, f64)], bottom: f64) -> Vec<f64> {
    let mut order: Vec<_> = (0..wanted.len()).collect();
    order.sort_by(|one, other| wanted[*one].0.total_cmp(&wanted[*other].0));
    let mut middles: Vec<_> = wanted.iter().map(|(middle, _)| *middle).collect();
    let mut free = f64::NEG_INFINITY;
    for &at in &order {
        let half = wanted[at].1 / 2.0;
        middles[at] = middles[at].max(free + half);
        free = middles[at] + half;
    }
    let mut free = bottom;
    for &at in order.iter().rev() {
        let half = wanted[at].1 / 2.0;
        middles[at] = middles[at].min(free - half);
        free = middles[at] - half;
    }
    middles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_wrapped_between_words() {
        assert_eq!(wrapped("limit: a pointer, a clock", 16), ["limit: a", "pointer, a clock"]);
        assert_eq!(wrapped("tower-sessions", 5), ["tower-sessions"]);
    }

    #[test]
    fn labels_that_have_room_stay_where_they_want_to_be() {
        assert_eq!(spread(&[(50.0, 10.0), (10.0, 10.0)], 100.0), [50.0, 10.0]);
    }

    #[test]
    fn labels_move_apart_and_keep_their_order() {
        assert_eq!(spread(&[(21.0, 20.0), (20.0, 10.0), (22.0, 10.0)], 100.0), [35.0, 20.0, 50.0]);
    }

    #[test]
    fn labels_at_the_bottom_move_up() {
        assert_eq!(spread(&[(98.0, 10.0), (99.0, 10.0), (20.0, 10.0)], 100.0), [85.0, 95.0, 20.0]);
    }
}
