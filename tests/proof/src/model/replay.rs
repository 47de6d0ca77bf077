//! Tells an execution, step by step.

use wix_visitor_core::record::{Record, Standing};

use crate::model::config::Config;
use crate::model::instance::Frozen;
use crate::model::world::{Label, World};

/// Goes through these steps again and tells the state after each.
pub fn replay(config: &Config, path: &[Label]) -> Vec<String> {
    let mut world = World::new(config);
    let mut lines = vec![format!("{:<34} {}", "start", world.told())];
    for label in path.iter().skip(1) {
        let mut steps = Vec::new();
        world.steps(config, &mut steps);
        let mut fitting = steps.into_iter().filter(|(step, ..)| step == label);
        let Some((_, next, found)) = fitting.next() else {
            lines.push(format!("{label:?}: not possible here"));
            break;
        };
        world = next;
        let found: Vec<_> = found.iter().collect();
        let note = if found.is_empty() { String::new() } else { format!("   <- {found:?}") };
        lines.push(format!("{:<34} {}{note}", format!("{label:?}"), world.told()));
    }
    for order in world.orders() {
        if let Some((after, _)) = world.settle(config, order) {
            lines.push(format!("{:<34} {}", "everybody calls once more:", after.told()));
        }
    }
    lines
}

impl World {
    fn told(&self) -> String {
        let store = self.store.as_ref().map_or_else(|| "-".to_owned(), |seen| told(&seen.record));
        let mut line = format!("t={} store {store}", self.time);
        for (name, instance) in ["A", "B", "C"].iter().zip(&self.instances) {
            let held = instance.held.as_ref().map_or_else(
                || "-".to_owned(),
                |held| format!("{}{}", told(&held.record), if held.etag.is_none() { " unsaved" } else { "" }),
            );
            let frozen = match instance.frozen {
                None => "",
                Some(Frozen::Pause { .. }) => " paused",
                Some(Frozen::Sleep { .. }) => " asleep",
            };
            line.push_str(&format!(" | {name} {held}{frozen}"));
        }
        line
    }
}

fn told(record: &Record) -> String {
    let claim = record.claim.map_or_else(String::new, |nonce| format!(" claim#{}", nonce.0 >> 64));
    let trouble = if record.trouble.is_some() { " trouble" } else { "" };
    let standing = match &record.standing {
        Standing::Empty => "empty".to_owned(),
        Standing::Forgotten(lineage) | Standing::Retired(lineage, _) => format!("tombstone L{}", lineage.0 >> 64),
        Standing::Held(chain) => {
            let main = chain.tokens.refresh.as_ref().map_or("none", |token| token.value.expose());
            let refused = if chain.refused { "(refused)" } else { "" };
            let aside: Vec<_> = chain.alternates.iter().map(|a| a.value.expose()).collect();
            let aside = if aside.is_empty() { String::new() } else { format!(" aside {}", aside.join(",")) };
            format!("L{} g{} {main}{refused}{aside}", chain.lineage.0 >> 64, chain.generation)
        }
    };
    format!("{standing} e{}{claim}{trouble}", record.epoch)
}
