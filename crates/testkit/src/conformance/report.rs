//! What a function of the suite found, and what all of them did.

use std::error::Error;
use std::fmt;

use wix_visitor_core::StoreError;

/// What came of a function that found nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It holds.
    Holds,
    /// It was not put to the test, for this reason.
    Not(&'static str),
}

/// What one function of the suite says.
pub type Verdict = Result<Shown, Violation>;

/// The store does not hold a MUST: this is what it did.
#[derive(Clone, Debug)]
pub struct Violation {
    what: String,
    source: Option<StoreError>,
}

impl Violation {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }
}

impl From<StoreError> for Violation {
    fn from(error: StoreError) -> Self {
        Self { what: format!("failed where nothing was wrong: {error}"), source: Some(error) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Violation {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

/// One function's verdict.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The MUST of [`wix_visitor_core::store`] that the function belongs to.
    pub must: u8,
    /// The function's name.
    pub name: &'static str,
    /// What it found.
    pub verdict: Verdict,
}

/// The verdicts of a run. `Display` names each, failures first.
#[derive(Clone, Debug, Default)]
pub struct Report {
    outcomes: Vec<Outcome>,
}

impl Report {
    /// Adds a verdict: for [`store_conformance!`](crate::store_conformance).
    #[doc(hidden)]
    pub fn note(&mut self, must: u8, name: &'static str, verdict: Verdict) {
        self.outcomes.push(Outcome { must, name, verdict });
    }

    /// Whether no function found a violation.
    pub fn holds(&self) -> bool {
        self.violated().is_empty()
    }

    /// Every function's verdict, in the order in which they ran.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The functions that found a violation.
    pub fn violated(&self) -> Vec<&'static str> {
        self.names(|verdict| verdict.is_err())
    }

    /// The functions that could not be put to the test with this fixture.
    pub fn not_shown(&self) -> Vec<&'static str> {
        self.names(|verdict| matches!(verdict, Ok(Shown::Not(_))))
    }

    fn names(&self, which: impl Fn(&Verdict) -> bool) -> Vec<&'static str> {
        self.outcomes.iter().filter(|outcome| which(&outcome.verdict)).map(|outcome| outcome.name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = |outcome: &&Outcome| match outcome.verdict {
            Err(_) => 0,
            Ok(Shown::Not(_)) => 1,
            Ok(Shown::Holds) => 2,
        };
        let mut outcomes: Vec<_> = self.outcomes.iter().collect();
        outcomes.sort_by_key(rank);
        for Outcome { must, name, verdict } in outcomes {
            match verdict {
                Err(violation) => writeln!(f, "VIOLATED   MUST {must}  {name}: {violation}")?,
                Ok(Shown::Not(why)) => writeln!(f, "not shown  MUST {must}  {name}: {why}")?,
                Ok(Shown::Holds) => writeln!(f, "holds      MUST {must}  {name}")?,
            }
        }
        Ok(())
    }
}
