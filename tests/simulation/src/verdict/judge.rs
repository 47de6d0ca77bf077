//! Who is who: what each visitor's identity is by right, and whether that is what is served in the end.

use std::ops::RangeInclusive;

use wix_visitor_core::record::{Lineage, Record};

use crate::plan::Millis;
use crate::plan::fault::Fault;
use crate::world::issuer::{Issuer, family_of_refresh};

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// A visitor is served with another identity than its own.
    Lost,
    /// What was forgotten is back.
    Returned,
    /// What the application did on an instance does not show there, though it was told that it is done.
    Behind,
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
    pub const ALL: [Self; 7] =
        [Self::Lost, Self::Returned, Self::Behind, Self::Mixed, Self::NotServed, Self::Unkept, Self::Leaked];
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

/// What befell one visitor in one episode, and what became of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ordeals {
    /// The faults that struck it, a bit each.
    pub once: u32,
    /// Those that did more than once.
    pub twice: u32,
    /// A failover took its first record back.
    pub first_record: bool,
    /// A failover took back what the application did.
    pub deed: bool,
    /// It was lost.
    pub lost: bool,
}

impl Ordeals {
    /// The faults, those that struck more than once two times.
    pub fn faults(&self) -> Vec<Fault> {
        let of = |bits: u32| Fault::ALL.into_iter().filter(move |fault| bits & fault.bit() != 0);
        of(self.once).chain(of(self.twice)).collect()
    }
}

/// One identity's chain of tokens, or a tombstone.
#[derive(Clone, Copy, Debug)]
struct Known {
    lineage: Lineage,
    family: Option<usize>,
    /// In which epoch it was last written, and when it first was.
    epoch: u64,
    born: Millis,
}

/// Something that the application did, and was told that it is done.
#[derive(Clone, Copy, Debug)]
struct Deed {
    /// On which life of which instance.
    at: (usize, u64),
    epoch: u64,
    done: Millis,
}

/// What is known of one visitor.
#[derive(Debug, Default)]
struct Case {
    known: Vec<Known>,
    rightful: Rightful,
    /// Since when.
    since: Millis,
    /// The first family served since the application last did something.
    first: Option<usize>,
    deeds: u32,
    /// The epoch of the last of these.
    epoch: u64,
    /// Those whose caller was told that they are done.
    told: Vec<Deed>,
    /// What the last calls of an episode were served.
    last: Vec<(usize, Result<usize, String>)>,
    /// What befell it in this episode.
    ordeals: Ordeals,
    /// It was not well at the end of the last one.
    broken: bool,
}

/// Watches everything that is written and served.
#[derive(Debug)]
pub struct Judge {
    cases: Vec<Case>,
    /// What was broken, the first of it.
    pub findings: Vec<Finding>,
    /// How often each promise was broken.
    pub broken: [u64; Breach::ALL.len()],
    /// Visitors judged, at ends of episodes.
    pub judged: u64,
    /// Visitors that were served before their first record could be saved, and are others now.
    pub given_up: u64,
    /// What befell each that was judged.
    pub losses: Vec<Ordeals>,
}

impl Judge {
    /// Nobody has been seen.
    pub fn new(visitors: usize) -> Self {
        Self {
            cases: (0..visitors).map(|_| Case::default()).collect(),
            findings: Vec::new(),
            broken: [0; Breach::ALL.len()],
            judged: 0,
            given_up: 0,
            losses: Vec::new(),
        }
    }

    fn find(&mut self, breach: Breach, visitor: usize, at: Millis, text: impl Into<String>) {
        self.broken[breach as usize] += 1;
        if self.findings.len() < 100 {
            self.findings.push(Finding { breach, visitor, at, text: text.into() });
        }
    }

    /// A secret was seen.
    pub fn leaked(&mut self, visitor: usize, at: Millis, where_: &str) {
        self.find(Breach::Leaked, visitor, at, where_);
    }

    /// A fault struck this visitor.
    pub fn touch(&mut self, visitor: usize, fault: Fault) {
        if let Some(Case { ordeals, .. }) = self.cases.get_mut(visitor) {
            ordeals.twice |= ordeals.once & fault.bit();
            ordeals.once |= fault.bit();
        }
    }

    /// A failover took back this visitor's first record, or what the application did.
    pub fn bereave(&mut self, visitor: usize, first_record: bool, deed: bool) {
        if let Some(Case { ordeals, .. }) = self.cases.get_mut(visitor) {
            ordeals.first_record |= first_record;
            ordeals.deed |= deed;
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
        let known = case.known.iter_mut().find(|known| known.lineage == version.lineage).map(|known| {
            known.epoch = known.epoch.max(record.epoch);
            known.family
        });
        // What the application did may be done again, over what was done meanwhile, while its caller still waits.
        let again = known.is_some() && record.epoch > case.epoch;
        match known {
            Some(known) if family.is_some() && known != family => {
                self.find(Breach::Mixed, visitor, now, format!("families {known:?} and {family:?} in one lineage"));
                return;
            }
            Some(_) if !again => return,
            Some(_) => {}
            None => case.known.push(Known { lineage: version.lineage, family, epoch: record.epoch, born: now }),
        }
        let deed = family.is_none_or(|family| issuer.family(family).is_some_and(|family| family.set));
        if deed {
            case.rightful = family.map_or(Rightful::Forgotten, Rightful::Family);
            case.since = now;
            (case.first, case.deeds, case.epoch) = (None, case.deeds + 1, record.epoch);
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
        let told = case.told.iter().filter(|deed| deed.at == at && deed.done < began).max_by_key(|deed| deed.epoch);
        let saved = case.known.iter().find(|known| known.family == Some(family)).map(|known| known.epoch);
        // What could not be saved yet was minted after it, or is of before.
        if let Some(told) = told.filter(|told| saved.map_or(born < told.done, |epoch| epoch < told.epoch)) {
            let text = format!("family {family} of epoch {saved:?}, born {born}, served where {told:?}");
            self.find(Breach::Behind, visitor, now, text);
        }
    }

    /// A caller was told that it is done: these tokens are set, or none. Which epoch that is, is what was written since it asked.
    pub fn done(&mut self, visitor: usize, at: (usize, u64), family: Option<usize>, during: RangeInclusive<Millis>) {
        let Some(case) = self.cases.get_mut(visitor) else { return };
        let written = case.known.iter().filter(|known| known.family == family && during.contains(&known.born));
        match written.map(|known| known.epoch).min() {
            Some(epoch) => case.told.push(Deed { at, epoch, done: *during.end() }),
            None => self.find(Breach::Behind, visitor, *during.end(), format!("done, and not written: {family:?}")),
        }
    }

    /// The lives of instances whose caller was told what was done in this epoch, or after it.
    pub fn told(&self, visitor: usize, epoch: u64) -> impl Iterator<Item = (usize, u64)> {
        let told = self.cases.get(visitor).map_or(&[][..], |case| &case.told);
        told.iter().filter(move |deed| deed.epoch >= epoch).map(|deed| deed.at)
    }

    /// What a call at the end of an episode came to.
    pub fn last(&mut self, visitor: usize, node: usize, served: Result<usize, String>) {
        if let Some(case) = self.cases.get_mut(visitor) {
            case.last.push((node, served));
        }
    }

    /// The end of an episode: whether this visitor is well. Of each of the instances that it was called on for the last time, an answer
    /// is due; `kept` is what the store holds.
    pub fn close(
        &mut self,
        visitor: usize,
        called: impl Iterator<Item = usize>,
        kept: Option<&Record>,
        issuer: &Issuer,
        now: Millis,
    ) -> bool {
        let life = issuer.life();
        let Some(case) = self.cases.get_mut(visitor) else { return false };
        let (mut last, ordeals, first) =
            (std::mem::take(&mut case.last), std::mem::take(&mut case.ordeals), case.first.take());
        for node in called {
            if !last.iter().any(|(answered, _)| *answered == node) {
                last.push((node, Err("its last call never returned".to_owned())));
            }
        }
        let deeds = std::mem::take(&mut case.deeds);
        let rightful = case.rightful;
        // A token from before is served to its end on instances that have no reason to look at the store.
        let since = case.since;
        let earlier = |family: usize| issuer.family(family).is_some_and(|family| family.born <= since);
        let late = now.saturating_sub(since) < life;
        self.judged += 1;
        let before: u64 = self.broken.iter().sum();
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
                self.cases.get(visitor).is_some_and(|case| case.known.iter().any(|known| known.family == Some(first)));
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
        let broken = self.broken.iter().sum::<u64>() > before;
        let still = self.cases.get_mut(visitor).is_some_and(|case| std::mem::replace(&mut case.broken, broken));
        if !(broken && still) {
            self.losses.push(Ordeals { lost: broken, ..ordeals }); // once for each loss, which may take a while to come out in full
        }
        if let (Some(case), Some(actual)) = (self.cases.get_mut(visitor), actual.or(family)) {
            case.rightful = Rightful::Family(actual);
        }
        !broken
    }
}

#[cfg(test)]
mod tests {
    use wix_visitor_core::record::{Chain, Spent, Standing};
    use wix_visitor_core::{RefreshToken, Role, Timestamp, Tokens};

    use super::*;
    use crate::plan::{Behaviour, HOUR, Site};

    const SITE: Site = Site { behaviour: Behaviour::Static, life: 4 * HOUR, grace: HOUR, silent: false, dated: false };

    /// An identity that was written in this epoch.
    fn written(judge: &mut Judge, issuer: &mut Issuer, set: bool, epoch: u64, now: Millis) -> (usize, Record) {
        let refresh = issuer.begin(Some(0), set, now).refresh_token.unwrap();
        let family = family_of_refresh(&refresh).unwrap();
        let chain = Chain {
            lineage: Lineage(family as u128),
            generation: 0,
            replaces: None,
            began: Timestamp::from_secs(0),
            tokens: Tokens::new(None, Some(RefreshToken::new(refresh, Role::Visitor))),
            lifetime: std::time::Duration::from_secs(14_400),
            refused: false,
            alternates: Vec::new(),
            spent: Spent::default(),
            doubt: None,
        };
        let record = Record { epoch, standing: Standing::Held(chain), ..Record::default() };
        judge.written(0, &record, issuer, now);
        (family, record)
    }

    fn breaches(judge: &Judge) -> Vec<Breach> {
        judge.findings.iter().map(|finding| finding.breach).collect()
    }

    #[test]
    fn who_set_tokens_is_not_served_what_was_there_before() {
        let (mut judge, mut issuer) = (Judge::new(1), Issuer::new(SITE, 1));
        let (old, _) = written(&mut judge, &mut issuer, false, 0, 10);
        let (new, _) = written(&mut judge, &mut issuer, true, 1, 20);
        judge.done(0, (0, 1), Some(new), 15..=30);
        judge.served(0, (0, 1), old, 29, &issuer, 40); // it had asked before it was told
        judge.served(0, (1, 1), old, 35, &issuer, 40); // nobody told this one
        judge.served(0, (0, 1), new, 35, &issuer, 40);
        assert_eq!(breaches(&judge), []);
        judge.served(0, (0, 1), old, 35, &issuer, 40);
        assert_eq!(breaches(&judge), [Breach::Behind]);
    }

    #[test]
    fn what_is_called_done_was_written() {
        let (mut judge, mut issuer) = (Judge::new(1), Issuer::new(SITE, 1));
        written(&mut judge, &mut issuer, false, 0, 10);
        judge.done(0, (0, 1), None, 15..=30);
        assert_eq!(breaches(&judge), [Breach::Behind]);
    }

    #[test]
    fn a_last_call_that_never_returned_is_not_well() {
        let (mut judge, mut issuer) = (Judge::new(1), Issuer::new(SITE, 1));
        let (family, record) = written(&mut judge, &mut issuer, false, 0, 10);
        judge.last(0, 0, Ok(family));
        assert!(judge.close(0, 0..1, Some(&record), &issuer, 20));
        judge.last(0, 0, Ok(family));
        assert!(!judge.close(0, 0..2, Some(&record), &issuer, 30));
        assert!(!judge.close(0, 0..1, Some(&record), &issuer, 40));
        assert_eq!(breaches(&judge), [Breach::NotServed; 2]);
        assert_eq!(judge.judged, 3);
    }

    #[test]
    fn breaches_count_though_only_the_first_are_told() {
        let mut judge = Judge::new(1);
        (0..250).for_each(|now| judge.leaked(0, now, "a test"));
        assert_eq!((judge.findings.len(), judge.broken[Breach::Leaked as usize]), (100, 250));
    }
}
