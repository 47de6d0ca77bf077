//! Plans out of seeds: how large a fleet, which faults may meet, and when.

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

/// What may meet in one episode: how many of each kind strike one visitor, or the fleet.
#[derive(Clone, Copy, Debug, Default)]
struct Menu {
    harmless: u64,
    replies: u64,
    late: u64,
    overlaps: u64,
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
        Campaign::Rest => chance.pick(&[Behaviour::Grace, Behaviour::Reuse, Behaviour::Single]),
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
    fn menu(&mut self) -> Menu {
        let within = self.plan.site.within();
        let chance = &mut *self.chance;
        let calm = Menu { harmless: chance.below(6), windows: chance.below(3), longest: within / 4, ..Menu::default() };
        let long = Menu { longest: HOUR, ..calm };
        let reply = |chance: &mut Chance| Menu {
            harmless: chance.below(3),
            replies: chance.between(1, 2),
            windows: chance.below(2),
            longest: within / 8,
            ..Menu::default()
        };
        let late = Menu { late: 1, ..Menu::default() };
        let overlap = Menu { overlaps: 1, ..Menu::default() };
        let roll = chance.below(100);
        if self.plan.campaign == Campaign::Rest {
            let other = match chance.below(4) {
                0 => reply(chance),
                1 => late,
                2 => calm,
                _ => Menu::default(),
            };
            return match self.plan.site.behaviour {
                Behaviour::Single if roll < 50 => {
                    if other.replies > 0 {
                        other
                    } else {
                        late
                    }
                }
                Behaviour::Reuse if roll < 50 => overlap,
                _ => Menu { overlaps: chance.between(1, 2), ..if other.longest == 0 { reply(chance) } else { other } },
            };
        }
        match self.plan.site.behaviour {
            Behaviour::Static => Menu {
                harmless: chance.below(6),
                replies: chance.below(3),
                late: chance.below(2),
                overlaps: chance.below(3),
                windows: chance.below(3),
                longest: HOUR,
            },
            Behaviour::Grace if roll < 30 => calm,
            Behaviour::Grace if roll < 65 => reply(chance),
            Behaviour::Grace if roll < 75 => late,
            Behaviour::Grace => overlap,
            Behaviour::Reuse if roll < 40 => calm,
            Behaviour::Reuse if roll < 85 => reply(chance),
            Behaviour::Reuse => late,
            Behaviour::Single if roll < 55 => long,
            Behaviour::Single => overlap,
        }
    }

    fn episode(&mut self, begins: Millis) -> Episode {
        let menu = self.menu();
        let busy = self.chance.between(5, if self.size == Size::Large { 180 } else { 60 }) * MINUTE;
        let calm = begins + busy;
        // Who holds what a failover lost puts it back when its own token is due; others learn of it when theirs are.
        let lives = if menu.overlaps > 0 { 34 } else { 11 };
        let rest = (self.plan.site.life * lives / 10).max(110 * MINUTE) + 20 * MINUTE;
        let mut episode = Episode { begins, calm, ends: calm + rest, ..Episode::default() };
        let crowd = if self.size == Size::Small { self.chance.between(1, 3) } else { 1 };
        let deeds = self.chance.percent(35);
        let shared = self.instance_faults(menu, &mut episode);
        for visitor in 0..self.plan.visitors.len() {
            for herd in 0..crowd {
                let at = begins + (busy * herd + self.chance.below(busy * 9 / 10)) / crowd;
                let deeds = deeds && self.chance.percent(50);
                self.herd(visitor, at, deeds, &mut episode);
                if herd == 0 || self.chance.percent(50) {
                    self.strikes(menu, shared, visitor, at, &mut episode);
                }
            }
        }
        self.limit(menu, &mut episode);
        self.disturbances(menu, &mut episode);
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
            let wish = chance.pick(&[Wish::SetTokens, Wish::Forget]);
            let dropped_after = chance.percent(12).then(|| chance.below(1_000));
            let at = at + chance.below(breadth * 2);
            episode.calls.push(Call { at, node: chance.pick(&homes), visitor, wish, dropped_after });
        }
    }

    /// Faults that strike whole instances or the whole store are counted for the fleet, and only for some visitor.
    fn instance_faults(&mut self, menu: Menu, episode: &mut Episode) -> u64 {
        let mut crashes = 0;
        let within = self.plan.site.within();
        for _ in 0..menu.replies {
            if self.chance.percent(50) {
                crashes += 1;
                let visitor = self.chance.index(self.plan.visitors.len());
                let strike = self.strike(visitor, episode.begins, Fault::Crash, menu);
                let span = self.chance.between(SECOND, (within / 4).min(10 * MINUTE));
                episode.strikes.push(Strike { skip: self.chance.below(12), span, ..strike });
            }
        }
        for _ in 0..menu.overlaps {
            let visitor = self.chance.index(self.plan.visitors.len());
            let fault = self.chance.pick(&Fault::OVERLAPS);
            let strike = self.strike(visitor, episode.begins, fault, menu);
            episode.strikes.push(Strike { skip: self.chance.below(8), ..strike });
        }
        crashes
    }

    fn strikes(&mut self, menu: Menu, crashes: u64, visitor: usize, at: Millis, episode: &mut Episode) {
        let from = at.saturating_sub(SECOND);
        for _ in 0..menu.harmless {
            let fault = self.chance.pick(&Fault::HARMLESS);
            let strike = self.strike(visitor, from, fault, menu);
            episode.strikes.push(strike);
        }
        for _ in 0..menu.replies.saturating_sub(crashes) {
            let strike = self.strike(visitor, from, Fault::ReplyLost, menu);
            episode.strikes.push(strike);
        }
        for _ in 0..menu.late {
            let strike = self.strike(visitor, from, Fault::Late, menu);
            episode.strikes.push(strike);
        }
    }

    fn strike(&mut self, visitor: usize, at: Millis, fault: Fault, menu: Menu) -> Strike {
        let chance = &mut *self.chance;
        let skip = match fault {
            _ if fault.class() == crate::plan::fault::Class::Harmless => chance.below(5),
            Fault::ReplyLost | Fault::Late => chance.below(3),
            _ => chance.below(8),
        };
        let span = match fault {
            Fault::Late => chance.between(3_200, 11_000),
            Fault::StoreLate => chance.between(10, 20_000),
            Fault::Throttled => chance.between(SECOND, menu.longest.max(MINUTE)),
            Fault::Pause | Fault::Sleep => {
                let most = chance.pick(&[MINUTE, 5 * MINUTE, 30 * MINUTE]);
                chance.between(16 * SECOND, most)
            }
            _ => 0,
        };
        Strike { at, visitor, skip, fault, after: chance.percent(50), span }
    }

    /// No visitor meets more of a kind than may meet.
    fn limit(&mut self, menu: Menu, episode: &mut Episode) {
        let mut seen: Vec<(u64, u64, u64)> = vec![(0, 0, 0); self.plan.visitors.len()];
        let crashes = u64::try_from(episode.strikes.iter().filter(|s| s.fault == Fault::Crash).count()).unwrap_or(0);
        episode.strikes.retain(|strike| {
            let Some((replies, late, doubts)) = seen.get_mut(strike.visitor) else { return false };
            let (count, most) = match strike.fault {
                Fault::ReplyLost => (replies, menu.replies.saturating_sub(crashes)),
                Fault::Late => (late, menu.late),
                // Three of them, over minutes, are a refusal.
                Fault::Doubtful => (doubts, 1),
                _ => return true,
            };
            *count += 1;
            *count <= most
        });
    }

    fn disturbances(&mut self, menu: Menu, episode: &mut Episode) {
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
        if menu.overlaps == 0 && chance.percent(15) {
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
