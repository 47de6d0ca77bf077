//! What wrk tells of each shopper.

/// A shopper, as `tests/load/shoppers.lua` tells of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Shopper {
    /// From 1 on; says what was chosen.
    pub number: u32,
    /// `name=value`.
    pub cookie: String,
    /// Carts read.
    pub reads: u64,
    /// Things put into the cart.
    pub adds: u64,
    /// When something was first in the cart, in milliseconds since 1970.
    pub begun: Option<u64>,
    /// How many of each product, in the order of the catalogue, have to be in the cart.
    pub least: Vec<u64>,
    /// And how many may be: more, where an answer was lost.
    pub most: Vec<u64>,
    /// When requests began and ended that were answered a status above 499, after the first good answer.
    pub failures: Vec<(u64, u64, u16)>,
    /// What must never be.
    pub findings: String,
}

impl Shopper {
    /// Reads a line of wrk's output, if it is about a shopper.
    pub fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split('\t').collect();
        let ["shopper", number, cookie, reads, adds, begun, least, most, failures, findings] = words.as_slice() else {
            return None;
        };
        let numbers = |text: &str| text.split(',').map(|number| number.parse::<u64>().ok()).collect::<Option<Vec<_>>>();
        let failure = |text: &str| match numbers(text)?.as_slice() {
            [from, to, status] => Some((*from, *to, u16::try_from(*status).ok()?)),
            _ => None,
        };
        Some(Self {
            number: number.parse().ok()?,
            cookie: (*cookie).to_owned(),
            reads: reads.parse().ok()?,
            adds: adds.parse().ok()?,
            begun: begun.parse().ok().filter(|at| *at > 0),
            least: numbers(least)?,
            most: numbers(most)?,
            failures: failures.split(';').filter(|text| !text.is_empty()).map(failure).collect::<Option<_>>()?,
            findings: (*findings).to_owned(),
        })
    }
}

impl std::fmt::Debug for Shopper {
    // The cookie is left out: it is as good as a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { number, least, most, failures, .. } = self;
        write!(f, "shopper {number} with {least:?} to {most:?} after {} failures", failures.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shoppers_line_is_read_and_others_are_not() {
        let line = "shopper\t5\ta=b.1\t7\t2\t1764000000000\t2,1\t2,2\t1,2,503;3,4,500;\tno";
        let shopper = Shopper::read(line).unwrap();
        assert_eq!((shopper.number, shopper.reads, shopper.adds), (5, 7, 2));
        assert_eq!((shopper.least.as_slice(), shopper.most.as_slice()), (&[2, 1][..], &[2, 2][..]));
        assert_eq!(shopper.failures, [(1, 2, 503), (3, 4, 500)]);
        assert_eq!((shopper.begun, shopper.findings.as_str()), (Some(1_764_000_000_000), "no"));
        assert_eq!(Shopper::read(&line.replace("1,2,503", "1,2")), None);
        assert_eq!(Shopper::read("Running 20s test"), None);
    }
}
