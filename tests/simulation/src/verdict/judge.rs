//! Who is who: what each visitor's identity is by right, and whether that is what is served in the end.

use wix_visitor_core::record::{Lineage, Record, Standing};

use crate::plan::Millis;
use crate::world::issuer::{Issuer, family_of_refresh};

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// A visitor is served with another identity than its own.
    Lost,
    /// What was forgotten is back.
    Returned,
    /// Tokens of two identities meet, or of two visitors.
    Mixed,
    /// After hours without a fault a visitor is not served.
    NotServed,
    /// The store holds no token of the visitor that still works.
    Unkept,
    /// A secret was printed.
    Leaked,
}

impl Breach {
    /// All of them, in this order.
    pub const ALL: [Self; 6] = [Self::Lost, Self::Returned, Self::Mixed, Self::NotServed, Self::Unkept, Self::Leaked];
}

/// A breach, and where.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was broken.
    pub breach: Breach,
    /// Whose.
    pub visitor: usize,
    /// When.
    pub at: Millis,
    /// In words; no secret.
    pub text: String,
}

/// Whose identity a visitor has by right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rightful {
    /// Nobody's yet: the first that is kept will be.
    #[default]
    Unborn,
    /// The first that is kept after this tombstone.
    Forgotten,
    /// This family's.
    Family(usize),
}

/// What is known of one visitor.
#[derive(Debug, Default)]
struct Case {
    lineages: Vec<(Lineage, Option<usize>)>,
    rightful: Rightful,
    /// Since when.
    since: Millis,
    /// The first family served since the application last did something.
    first: Option<usize>,
    deeds: u32,
    /// The epoch of the last of these.
    epoch: u64,
    /// The epoch of the last of these whose caller was told that it is done.
    told: u64,
    /// On which life of which instance it was last forgotten, when that was asked for, and since when it is done.
    forgot: Vec<(usize, u64, (Millis, Millis))>,
    /// What the last calls of an episode were served.
    last: Vec<(usize, Result<usize, String>)>,
    /// Faults that struck in this episode.
    touched: u32,
    /// It was not well at the end of the last one.
    broken: bool,
}

/// Watches everything that is written and served.
#[derive(Debug)]
pub struct Judge {
    cases: Vec<Case>,
    /// What was broken.
    pub findings: Vec<Finding>,
    /// Visitors judged, at ends of episodes.
    pub judged: u64,
    /// Visitors that were served before their first record could be saved, and are others now.
    pub given_up: u64,
    /// What was lost in which combination of faults.
    pub losses: Vec<(u32, bool)>,
}

impl Judge {
    /// Nobody has been seen.
    pub fn new(visitors: usize) -> Self {
        Self {
            cases: (0..visitors).map(|_| Case::default()).collect(),
            findings: Vec::new(),
            judged: 0,
            given_up: 0,
            losses: Vec::new(),
        }
    }

    fn find(&mut self, breach: Breach, visitor: usize, at: Millis, text: impl Into<String>) {
        if self.findings.len() < 100 {
            self.findings.push(Finding { breach, visitor, at, text: text.into() });
        }
    }

    /// A secret was seen.
    pub fn leaked(&mut self, visitor: usize, at: Millis, where_: &str) {
        self.find(Breach::Leaked, visitor, at, where_);
    }

    /// A fault struck this visitor.
    pub fn touch(&mut self, visitor: usize, fault: u32) {
        if let Some(case) = self.cases.get_mut(visitor) {
            case.touched |= fault;
        }
    }

    /// Whether this record was the first of its lineage when it was written: `Some(true)` if it was a deed of the application.
    pub fn is_birth(record: &Record) -> Option<bool> {
        match &record.standing {
            Standing::Empty => None,
            Standing::Forgotten(_) => Some(true),
            Standing::Held(chain) => (chain.generation == 0).then(|| chain.role() == wix_visitor_core::Role::Member),
        }
    }

    /// A record was written.
    pub fn written(&mut self, visitor: usize, record: &Record, issuer: &Issuer, now: Millis) {
        let Some(version) = record.version() else { return };
        let mut family = None;
        if let Some(chain) = record.chain() {
            let main = chain.tokens.refresh.iter().map(|token| &token.value);
            for found in main.chain(chain.alternates.iter().map(|a| &a.value)).filter_map(family_of_refresh) {
                if family.is_some_and(|family| family != found) {
                    self.find(Breach::Mixed, visitor, now, format!("families {family:?} and {found} in one record"));
                }
                if issuer.family(found).and_then(|family| family.visitor).is_some_and(|whose| whose != visitor) {
                    self.find(Breach::Mixed, visitor, now, format!("family {found} is another visitor's"));
                }
                family = Some(found);
            }
        }
        let Some(case) = self.cases.get_mut(visitor) else { return };
        let known = case.lineages.iter().find(|(lineage, _)| *lineage == version.lineage).map(|(_, family)| *family);
        // What the application did may be done again, over what was done meanwhile, while its caller still waits.
        let again = known.is_some() && record.epoch > case.epoch;
        match known {
            Some(known) if family.is_some() && known != family => {
                self.find(Breach::Mixed, visitor, now, format!("families {known:?} and {family:?} in one lineage"));
                return;
            }
            Some(_) if !again => return,
            Some(_) => {}
            None => case.lineages.push((version.lineage, family)),
        }
        let deed = family.is_none_or(|family| issuer.family(family).is_some_and(|family| family.member));
        if deed {
            case.rightful = family.map_or(Rightful::Forgotten, Rightful::Family);
            case.since = now;
            (case.first, case.deeds, case.epoch) = (None, case.deeds + 1, record.epoch);
            if family.is_some() {
                case.forgot.clear();
            }
        } else if let Some(family) = family
            && matches!(case.rightful, Rightful::Unborn | Rightful::Forgotten)
            && record.epoch >= case.epoch
        {
            (case.rightful, case.since) = (Rightful::Family(family), now);
        }
    }

    /// A caller was given a token.
    pub fn served(
        &mut self,
        visitor: usize,
        at: (usize, u64),
        family: usize,
        began: Millis,
        issuer: &Issuer,
        now: Millis,
    ) {
        let known = issuer.family(family);
        if known.and_then(|family| family.visitor).is_some_and(|whose| whose != visitor) {
            self.find(Breach::Mixed, visitor, now, format!("served family {family} of another visitor"));
        }
        let born = known.map_or(0, |family| family.born);
        let Some(case) = self.cases.get_mut(visitor) else { return };
        case.first.get_or_insert(family);
        let back = case
            .forgot
            .iter()
            .any(|(node, life, (asked, done))| (*node, *life) == at && began > *done && born < *asked);
        if back && case.rightful != Rightful::Family(family) {
            self.find(Breach::Returned, visitor, now, format!("family {family} served on the instance that forgot it"));
        }
    }

    /// A caller was told that what it did is done.
    pub fn done(&mut self, visitor: usize) {
        if let Some(case) = self.cases.get_mut(visitor) {
            case.told = case.epoch;
        }
    }

    /// Whether a process knows of what the application did in this epoch.
    pub fn is_known(&self, visitor: usize, epoch: u64) -> bool {
        self.cases.get(visitor).is_some_and(|case| epoch <= case.told)
    }

    /// The application was told that it has forgotten.
    pub fn forgot(&mut self, visitor: usize, at: (usize, u64), during: (Millis, Millis)) {
        if let Some(case) = self.cases.get_mut(visitor) {
            case.forgot.retain(|(node, ..)| *node != at.0);
            case.forgot.push((at.0, at.1, during));
        }
    }

    /// What a call at the end of an episode came to.
    pub fn last(&mut self, visitor: usize, node: usize, served: Result<usize, String>) {
        if let Some(case) = self.cases.get_mut(visitor) {
            case.last.push((node, served));
        }
    }

    /// The end of an episode: whether this visitor is well. `kept` is what the store holds.
    pub fn close(&mut self, visitor: usize, kept: Option<&Record>, issuer: &Issuer, now: Millis) {
        let life = issuer.life();
        let Some(case) = self.cases.get_mut(visitor) else { return };
        let (last, touched, first) =
            (std::mem::take(&mut case.last), std::mem::take(&mut case.touched), case.first.take());
        let deeds = std::mem::take(&mut case.deeds);
        let rightful = case.rightful;
        // A token from before is served to its end on instances that have no reason to look at the store.
        let since = case.since;
        let earlier = |family: usize| issuer.family(family).is_some_and(|family| family.born <= since);
        let late = now.saturating_sub(since) < life;
        if last.is_empty() {
            return;
        }
        self.judged += 1;
        let before = self.findings.len();
        let mut actual = None;
        for (node, served) in &last {
            match (served, rightful) {
                (Ok(family), Rightful::Family(own)) if *family == own => {}
                (Ok(family), _) if late && earlier(*family) => {}
                (Ok(family), _) => {
                    actual = Some(*family);
                    let forgotten = matches!(rightful, Rightful::Family(own)
                        if issuer.family(own).map(|own| own.born) > issuer.family(*family).map(|one| one.born));
                    let breach = if forgotten { Breach::Returned } else { Breach::Lost };
                    self.find(
                        breach,
                        visitor,
                        now,
                        format!("instance {node} serves family {family}, not {rightful:?}"),
                    );
                }
                (Err(error), _) => self.find(Breach::NotServed, visitor, now, format!("instance {node}: {error}")),
            }
        }
        let family = kept.and_then(Record::chain).and_then(|chain| {
            let tokens = chain.refresh_tokens();
            tokens
                .iter()
                .find(|token| issuer.takes(&token.value, now))
                .and_then(|token| family_of_refresh(&token.value))
        });
        if family.is_none() || rightful != family.map_or(Rightful::Unborn, Rightful::Family) {
            self.find(Breach::Unkept, visitor, now, format!("the store keeps {family:?}, not {rightful:?}"));
        }
        if let (Some(first), Rightful::Family(own), 0) = (first, rightful, deeds)
            && first != own
            && issuer.family(first).is_some_and(|one| Some(one.born) <= issuer.family(own).map(|own| own.born))
        {
            let saved =
                self.cases.get(visitor).is_some_and(|case| case.lineages.iter().any(|(_, f)| *f == Some(first)));
            if saved {
                self.find(
                    Breach::Lost,
                    visitor,
                    now,
                    format!("family {first} was saved and served first; {own} is kept"),
                );
            } else {
                self.given_up += 1;
            }
        }
        let broken = self.findings.len() > before;
        let still = self.cases.get_mut(visitor).is_some_and(|case| std::mem::replace(&mut case.broken, broken));
        if !(broken && still) {
            self.losses.push((touched, broken)); // once for each loss, which may take a while to come out in full
        }
        if let (Some(case), Some(actual)) = (self.cases.get_mut(visitor), actual.or(family)) {
            case.rightful = Rightful::Family(actual);
        }
    }
}
