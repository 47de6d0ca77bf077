//! Each rule earns its place: where it is left out, something named gets worse.

use crate::model::{Behaviour, Config, Explored, Fault, Finding, Rule, Start, explore};

/// A rule, and where its lack shows.
#[derive(Clone, Debug)]
pub struct Case {
    /// The rule.
    pub rule: Rule,
    /// What is explored, with the rule.
    pub config: Config,
    /// What is met without the rule, and never with it.
    pub worse: &'static [Finding],
}

fn case(rule: Rule, behaviour: Behaviour, faults: &[Fault], worse: &'static [Finding]) -> Case {
    Case { rule, config: Config::new(behaviour, faults), worse }
}

/// One case a rule.
pub fn cases() -> Vec<Case> {
    use Finding::{
        Backwards, Behind, Broken, Lost, ManyGrants, ManyMints, Mixed, Overdue, Overlap, Replaced, Returned,
    };
    let first = |case: Case| Case { config: case.config.from(Start::Absent), ..case };
    vec![
        case(Rule::Claim, Behaviour::Grace, &[], &[ManyGrants, Broken]),
        case(Rule::Watch, Behaviour::Grace, &[], &[ManyGrants, Broken]),
        first(case(Rule::Nonce, Behaviour::Grace, &[], &[ManyMints, Broken])),
        case(Rule::Deadline, Behaviour::Grace, &[Fault::Pause], &[Overdue, Broken]),
        case(Rule::SleepGuard, Behaviour::Grace, &[Fault::Sleep], &[Overdue, Broken]),
        case(Rule::KeptClaim, Behaviour::Grace, &[Fault::Late], &[Overlap]),
        case(Rule::ReRead, Behaviour::Single, &[Fault::Pause], &[Backwards, Broken]),
        case(Rule::Alternates, Behaviour::Latest, &[Fault::FailoverOne], &[Lost, Replaced]),
        case(Rule::PutBack, Behaviour::Grace, &[Fault::FailoverOne], &[Lost, Replaced]),
        case(Rule::Replaces, Behaviour::Grace, &[Fault::Pause], &[Lost, Replaced]),
        case(Rule::Lineage, Behaviour::Grace, &[Fault::Set], &[Mixed, Lost, Behind]),
        case(Rule::Epoch, Behaviour::Static, &[Fault::FailoverOne, Fault::Set], &[Lost, Replaced]),
        case(Rule::Tombstone, Behaviour::Static, &[Fault::Forget], &[Returned, Behind]),
    ]
}

/// What the fleet comes to with the rule, and without it.
#[derive(Clone, Debug)]
pub struct Compared {
    /// With it.
    pub with: Explored,
    /// Without it.
    pub without: Explored,
}

impl Case {
    /// Explores both.
    pub fn compare(&self) -> Compared {
        const MOST: usize = 1_000_000;
        let without = Config { without: Some(self.rule), ..self.config.clone() };
        Compared { with: explore(&self.config, MOST), without: explore(&without, MOST) }
    }

    /// What of it does not show; an exploration that was cut off shows nothing.
    pub fn failures(&self, compared: &Compared) -> Vec<String> {
        let fails = |finding: &&Finding| compared.with.has(**finding) || !compared.without.has(**finding);
        let failed = self.worse.iter().filter(fails);
        let cut =
            (compared.with.cut || compared.without.cut).then(|| format!("{:?}: given up for its size", self.rule));
        let failed = failed
            .map(|finding| format!("{:?} does not earn its place: {finding:?} is no worse without it", self.rule));
        failed.chain(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exploration_that_was_cut_off_shows_nothing() {
        let Some(case) = cases().into_iter().next() else { panic!("no case") };
        let mut compared = case.compare();
        assert_eq!(case.failures(&compared), [""; 0]);
        compared.without.cut = true;
        assert_eq!(case.failures(&compared).len(), 1);
    }
}
