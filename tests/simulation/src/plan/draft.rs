//! Plans out of seeds: how large a fleet, which faults may meet, and when.

use wix_visitor_proof::model::Start;

use crate::plan::chance::Chance;
use crate::plan::fault::Fault;
use crate::plan::{
    Behaviour, Call, Campaign, Disturbance, Episode, HOUR, MINUTE, Millis, Node, Plan, SECOND, Site, Strike, Wish,
};
use crate::world::disturb::NO_JUMP;

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    Medium,
    Large,
}

/// What may meet in one episode.
#[derive(Clone, Debug)]
struct Menu {
    /// How many faults that cost nothing strike in each herd of calls.
    harmless: u64,
    /// Those that some endpoint makes cost something: what strikes one operation, for each visitor, what strikes more, once.
    costly: Vec<Fault>,
    windows: u64,
    /// Nothing that lasts lasts longer than this.
    longest: Millis,
}

/// The plan of a seed.
pub fn draft(seed: u64, campaign: Campaign) -> Plan {
    let mut chance = Chance::of(&[seed, campaign as u64]);
    let size = match (campaign, chance.below(50_000)) {
        (Campaign::Rest, _) => Size::Small,
        (_, 0) => Size::Large,
        (_, 1..=150) => Size::Medium,
        _ => Size::Small,
    };
    let (nodes, visitors, episodes) = match size {
        Size::Small => (chance.between(1, 4), chance.between(1, 3), chance.between(1, 3)),
        Size::Medium => (chance.between(5, 16), chance.between(10, 80), chance.between(4, 12)),
        Size::Large => (50, chance.between(1_000, 2_000), chance.between(30, 40)),
    };
    let site = draw_site(&mut chance, campaign, size);
    let skew = |chance: &mut Chance| {
        let limit = chance.pick(&[0, 2 * SECOND, 10 * MINUTE]);
        i64::try_from(chance.between(0, 2 * limit)).unwrap_or(0) - i64::try_from(limit).unwrap_or(0)
    };
    let nodes: Vec<_> = (0..nodes).map(|_| Node { skew: skew(&mut chance), used: true }).collect();
    let visitors = vec![true; usize::try_from(visitors).unwrap_or(1)];
    let mut plan = Plan { seed, campaign, site, nodes, visitors, episodes: Vec::new(), flaw: None };
    let mut begins = MINUTE;
    for _ in 0..episodes {
        let episode = Draft { plan: &plan, chance: &mut chance, size }.episode(begins);
        begins = episode.ends + 5 * MINUTE;
        plan.episodes.push(episode);
    }
    plan
}

fn draw_site(chance: &mut Chance, campaign: Campaign, size: Size) -> Site {
    let behaviour = match campaign {
        Campaign::Ok => chance.pick(&Behaviour::ALL),
        // Where a refresh token is never replaced, only a visitor that is new is lost.
        Campaign::Rest => chance.pick(&[0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3].map(|column: usize| Behaviour::ALL[column])),
    };
    let lives = if size == Size::Large { [4 * HOUR; 4] } else { [4 * HOUR, 4 * HOUR, HOUR, 20 * MINUTE] };
    Site {
        behaviour,
        life: chance.pick(&lives),
        grace: chance.pick(&[10 * MINUTE, HOUR, 6 * HOUR]),
        silent: behaviour == Behaviour::Static && chance.percent(30),
        dated: chance.percent(50),
    }
}

struct Draft<'a> {
    plan: &'a Plan,
    chance: &'a mut Chance,
    size: Size,
}

impl Draft<'_> {
    /// What the tables call ok, or what they call lost.
    fn menu(&mut self) -> Menu {
        let site = self.plan.site;
        let costly = self.costly();
        let patient = site.behaviour == Behaviour::Static || (site.behaviour == Behaviour::Single && costly.is_empty());
        let longest = if patient { HOUR } else { site.within() / 4 };
        let chance = &mut *self.chance;
        Menu { harmless: chance.below(6), costly, windows: chance.below(3), longest }
    }

    /// None, one or two of which the tables say that they may meet; where a refresh token is never replaced, all may. In campaign
    /// rest, up to three of which some may not, if only for a visitor that is new.
    fn costly(&mut self) -> Vec<Fault> {
        let behaviour = self.plan.site.behaviour;
        let rest = self.plan.campaign == Campaign::Rest;
        let most = if rest || behaviour == Behaviour::Static { 3 } else { 2 };
        loop {
            let count = self.chance.between(u64::from(rest), most);
            let faults: Vec<_> = (0..count).map(|_| self.chance.pick(&Fault::COSTLY)).collect();
            let start = if rest { Start::Absent } else { Start::Visitor };
            if behaviour.cause(start, &faults).is_some() == rest {
                return faults;
            }
        }
    }

    fn episode(&mut self, begins: Millis) -> Episode {
        let menu = self.menu();
        let busy = self.chance.between(5, if self.size == Size::Large { 180 } else { 60 }) * MINUTE;
        let calm = begins + busy;
        // Who holds what a failover lost puts it back when its own token is due; others learn of it when theirs are.
        let overlap = |fault: &Fault| matches!(fault, Fault::Pause | Fault::Sleep) || fault.is_failover();
        let lives = if menu.costly.iter().any(overlap) { 34 } else { 11 };
        let rest = (self.plan.site.life * lives / 10).max(110 * MINUTE) + 20 * MINUTE;
        let mut episode = Episode { begins, calm, ends: calm + rest, ..Episode::default() };
        let crowd = if self.size == Size::Small { self.chance.between(1, 3) } else { 1 };
        let deeds = self.chance.percent(35);
        for visitor in 0..self.plan.visitors.len() {
            let struck = self.chance.below(crowd);
            for herd in 0..crowd {
                let at = begins + (busy * herd + self.chance.below(busy * 9 / 10)) / crowd;
                let deeds = deeds && self.chance.percent(50);
                self.herd(visitor, at, deeds, &mut episode);
                if herd == 0 || self.chance.percent(50) {
                    self.harmless(&menu, visitor, at, &mut episode);
                }
                if herd == struck {
                    self.costly_of_one(&menu, visitor, at, &mut episode);
                }
            }
        }
        self.costly_of_all(&menu, &mut episode);
        self.disturbances(&menu, &mut episode);
        // Who wakes in the middle of the calm has the pauses of the endpoint still before it.
        let stills = episode.disturbances.iter().filter(|one| matches!(one.fault, Fault::Pause | Fault::Sleep));
        episode.ends = stills.map(|one| one.at + one.span + rest).fold(episode.ends, Millis::max);
        episode
    }

    /// Calls for one visitor on several instances, at about the same time.
    fn herd(&mut self, visitor: usize, at: Millis, deeds: bool, episode: &mut Episode) {
        let homes: Vec<usize> = self.plan.homes(visitor).collect();
        let wishes = [Wish::Authorization, Wish::Authorization, Wish::Renew, Wish::Renew, Wish::Reject];
        let breadth = self.chance.pick(&[50, 1_000, 20 * SECOND]);
        let chance = &mut *self.chance;
        for node in &homes {
            for _ in 0..chance.between(1, 2) {
                if chance.percent(70) {
                    let dropped_after = chance.percent(12).then(|| chance.below(2_000));
                    let at = at + chance.below(breadth);
                    episode.calls.push(Call { at, node: *node, visitor, wish: chance.pick(&wishes), dropped_after });
                }
            }
        }
        if deeds {
            let wish = chance.pick(&[Wish::SetMember, Wish::SetVisitor, Wish::Forget, Wish::Forget]);
            let dropped_after = chance.percent(12).then(|| chance.below(1_000));
            let at = at + chance.below(breadth * 2);
            let node = chance.pick(&homes);
            episode.calls.push(Call { at, node, visitor, wish, dropped_after });
            // It is used at once, while what was under way before may still come back.
            let soon = chance.pick(&[50, 800, 5 * SECOND]);
            for _ in 0..4 {
                let at = at + chance.below(soon);
                let wish = Wish::Authorization;
                episode.calls.push(Call { at, node, visitor, wish, dropped_after: None });
            }
        }
    }

    fn harmless(&mut self, menu: &Menu, visitor: usize, at: Millis, episode: &mut Episode) {
        for _ in 0..menu.harmless {
            let fault = self.chance.pick(&Fault::HARMLESS);
            // Three of them, over minutes, are a refusal.
            let doubted = episode.strikes.iter().any(|one| one.visitor == visitor && one.fault == Fault::Doubtful);
            if !(doubted && fault == Fault::Doubtful) {
                let strike = self.strike(visitor, at.saturating_sub(SECOND), fault, menu);
                episode.strikes.push(strike);
            }
        }
    }

    /// What strikes one operation, strikes each visitor.
    fn costly_of_one(&mut self, menu: &Menu, visitor: usize, at: Millis, episode: &mut Episode) {
        for fault in menu.costly.iter().filter(|fault| matches!(fault, Fault::ReplyLost | Fault::Late)) {
            let strike = self.strike(visitor, at.saturating_sub(SECOND), *fault, menu);
            episode.strikes.push(strike);
        }
    }

    /// What strikes a whole instance or the whole store waits for an operation of some visitor.
    fn costly_of_all(&mut self, menu: &Menu, episode: &mut Episode) {
        for fault in menu.costly.iter().filter(|fault| !matches!(fault, Fault::ReplyLost | Fault::Late)) {
            let visitor = self.chance.index(self.plan.visitors.len());
            let strike = self.strike(visitor, episode.begins, *fault, menu);
            episode.strikes.push(strike);
        }
    }

    fn strike(&mut self, visitor: usize, at: Millis, fault: Fault, menu: &Menu) -> Strike {
        let within = self.plan.site.within();
        let chance = &mut *self.chance;
        let skip = match fault {
            Fault::Crash => chance.below(12),
            _ if !fault.is_costly() => chance.below(5),
            Fault::ReplyLost | Fault::Late => chance.below(3),
            _ => chance.below(8),
        };
        let span = match fault {
            Fault::Late => chance.between(3_200, 11_000),
            Fault::StoreLate => chance.between(10, 20_000),
            Fault::Throttled => chance.between(SECOND, menu.longest.max(MINUTE)),
            Fault::Crash => chance.between(SECOND, (within / 4).min(10 * MINUTE)),
            Fault::Pause | Fault::Sleep => {
                let most = chance.pick(&[MINUTE, 5 * MINUTE, 30 * MINUTE]);
                chance.between(16 * SECOND, most)
            }
            _ => 0,
        };
        Strike { at, visitor, skip, fault, after: chance.percent(50), span }
    }

    fn disturbances(&mut self, menu: &Menu, episode: &mut Episode) {
        let is_static = self.plan.site.behaviour == Behaviour::Static;
        let busy = episode.calm - episode.begins;
        let herds: Vec<Millis> = episode.calls.iter().map(|call| call.at).collect();
        let chance = &mut *self.chance;
        let mut add = |chance: &mut Chance, fault: Fault, span: Millis| {
            // Near a herd, or nobody notices.
            let at = if herds.is_empty() || chance.percent(20) {
                episode.begins + chance.below(busy)
            } else {
                (chance.pick(&herds) + chance.below(4 * SECOND)).saturating_sub(2 * SECOND)
            };
            let node = chance.index(self.plan.nodes.len());
            episode.disturbances.push(Disturbance { at, node, fault, span });
        };
        for _ in 0..menu.windows {
            let fault = chance.pick(&[Fault::StoreOutage, Fault::EndpointOutage, Fault::CutOff]);
            let most = chance.pick(&[5 * SECOND, MINUTE, menu.longest]).min(menu.longest);
            let span = chance.between(100, most.max(101));
            add(chance, fault, span);
        }
        if chance.percent(30) {
            let far = if is_static && chance.percent(10) { 30 * HOUR } else { 10 * MINUTE };
            let by = chance.below(2 * far.min(NO_JUMP));
            add(chance, Fault::Jump, (NO_JUMP + by).saturating_sub(far.min(NO_JUMP)));
        }
        // Who ends in good order saves what is not saved, and no more: what a failover took back ends with the process.
        let keeps = is_static || !menu.costly.iter().any(|fault| fault.is_failover());
        if keeps && chance.percent(15) {
            let down = chance.between(100, MINUTE);
            add(chance, Fault::Restart, down);
        }
        if is_static && chance.percent(20) {
            let fault = chance.pick(&[Fault::Crash, Fault::Pause, Fault::Sleep]);
            let span = chance.between(SECOND, 2 * HOUR);
            add(chance, fault, span);
        }
    }
}
