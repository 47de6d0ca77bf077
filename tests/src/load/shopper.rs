//! What wrk tells of each shopper.

/// A shopper, as `tests/load/shoppers.lua` tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shopper {
    /// From 1 on; says what was chosen.
    pub number: u32,
    /// `name=value`.
    pub cookie: String,
    /// Carts read.
    pub reads: u64,
    /// Things put into the cart.
    pub adds: u64,
    /// When the cart was first complete, in milliseconds since 1970.
    pub filled: Option<u64>,
    /// When requests began and ended that were answered a status above 499, after the first good answer.
    pub failures: Vec<(u64, u64, u16)>,
    /// What must never be.
    pub findings: String,
    /// Requests that went with an instance.
    pub lost: u64,
}

impl Shopper {
    /// Reads a line of wrk's output, if it is about a shopper.
    pub fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split('\t').collect();
        let ["shopper", number, cookie, reads, adds, filled, failures, findings, lost] = words.as_slice() else {
            return None;
        };
        let failure = |text: &str| {
            let mut numbers = text.split(',');
            let mut next = || numbers.next()?.parse::<u64>().ok();
            Some((next()?, next()?, u16::try_from(next()?).ok()?))
        };
        Some(Self {
            number: number.parse().ok()?,
            cookie: (*cookie).to_owned(),
            reads: reads.parse().ok()?,
            adds: adds.parse().ok()?,
            filled: filled.parse().ok().filter(|at| *at > 0),
            failures: failures.split(';').filter(|text| !text.is_empty()).map(failure).collect::<Option<_>>()?,
            findings: (*findings).to_owned(),
            lost: lost.parse().ok()?,
        })
    }

    /// How much there has to be at least of each product, in the order of the catalogue.
    pub fn wanted(&self) -> impl Iterator<Item = u64> {
        (0..6).map(|place| u64::from(self.number / 3_u32.pow(place) % 3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shoppers_line_is_read_and_others_are_not() {
        let line = "shopper\t5\ta=b.1\t7\t2\t1764000000000\t1,2,503;3,4,500;\tno\t1";
        let shopper = Shopper::read(line).unwrap();
        assert_eq!((shopper.number, shopper.reads, shopper.adds, shopper.lost), (5, 7, 2, 1));
        assert_eq!(shopper.failures, [(1, 2, 503), (3, 4, 500)]);
        assert_eq!((shopper.filled, shopper.findings.as_str()), (Some(1_764_000_000_000), "no"));
        assert_eq!(shopper.wanted().collect::<Vec<_>>(), [2, 1, 0, 0, 0, 0]);
        assert_eq!(Shopper::read(&line.replace("1,2,503", "1,2")), None);
        assert_eq!(Shopper::read("Running 20s test"), None);
    }
}
