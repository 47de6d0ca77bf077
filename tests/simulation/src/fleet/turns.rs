//! Callers of one visitor on one instance take turns where they want different things.
//!
//! Those who waited for one flight wake in an order that nobody decides (tokio's `watch` draws it). With the same goal it does not
//! matter who comes first; with different ones, the first would decide what the next flight is for.

use std::collections::HashMap;
use std::time::Duration;

use crate::fleet::machine::Machine;
use crate::plan::Call;
use crate::plan::chance::mix;
use crate::world::{World, as_u64};

/// How long a caller waits at most before it looks again whether it is its turn.
const LONGEST: Duration = Duration::from_secs(10);

/// Who waits: instance, its life, visitor.
type Who = (usize, u64, usize);

/// Those who are at it.
#[derive(Debug, Default)]
pub struct Turns(HashMap<Who, (u32, bool)>);

/// One caller's turn, until it is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    world: &'a World,
    who: Who,
    replaces: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.world.state();
        let Some((serving, replacing)) = state.turns.0.get_mut(&self.who) else { return };
        if self.replaces {
            *replacing = false;
        } else {
            *serving -= 1;
        }
        if *serving == 0 && !*replacing {
            state.turns.0.remove(&self.who);
        }
    }
}

impl World {
    /// Waits until nobody is at it who wants something else.
    pub async fn turn(&self, call: Call, machine: &Machine, replaces: bool) -> Turn<'_> {
        let who = (call.node, machine.life, call.visitor);
        let parts = [self.plan.seed, call.at, as_u64(call.node), as_u64(call.visitor), call.wish as u64];
        let mut pause = Duration::from_millis(mix(&parts) % 40 + 1);
        loop {
            if self.takes_turn(who, replaces) {
                return Turn { world: self, who, replaces };
            }
            tokio::time::sleep(pause).await;
            machine.awake().await; // who has ended waits for nobody
            pause = (pause * 2).min(LONGEST);
        }
    }

    fn takes_turn(&self, who: Who, replaces: bool) -> bool {
        let mut state = self.state();
        let (serving, replacing) = state.turns.0.entry(who).or_default();
        let free = !*replacing && (!replaces || *serving == 0);
        if free && replaces {
            *replacing = true;
        } else if free {
            *serving += 1;
        }
        free
    }
}
