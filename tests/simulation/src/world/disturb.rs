//! Faults at a moment.

use std::sync::Arc;

use crate::plan::chance::mix;
use crate::plan::fault::Fault;
use crate::plan::{Disturbance, HOUR, Millis};
use crate::world::{Station, World, as_u64};

/// The span of a jump to the right time; a longer one is a jump to a clock that is ahead.
pub const NO_JUMP: Millis = 24 * HOUR;

impl World {
    /// It happens now.
    pub fn disturb(self: &Arc<Self>, disturbance: Disturbance) {
        let Disturbance { node, fault, span, .. } = disturbance;
        let now = self.now();
        let station = self.station(node);
        self.note(&mut self.state(), &[8, as_u64(node), fault as u64, span], || {
            format!("{} (instance {node}, {} s)", fault.name(), span / 1_000)
        });
        match (fault, station) {
            (Fault::StoreOutage, _) => self.state().store_down = now + span,
            (Fault::EndpointOutage, _) => {
                self.state().endpoint_down = (now + span, mix(&[self.plan.seed, now]));
            }
            (Fault::CutOff, _) => {
                if let Some(until) = self.state().cut_off.get_mut(node) {
                    *until = now + span;
                }
            }
            (Fault::Jump, Some(station)) => {
                let to = i64::try_from(span).unwrap_or(0) - i64::try_from(NO_JUMP).unwrap_or(0);
                station.machine.jump(to - station.machine.skew());
            }
            (Fault::Restart, Some(station)) => self.restart(station, span),
            (Fault::Crash | Fault::Pause | Fault::Sleep, Some(station)) => {
                self.strike_instance(&station.machine, fault, span);
                return;
            }
            _ => return,
        }
        self.injected(fault, self.busy());
    }

    /// Shuts an instance down in good order, however long that takes, and starts it again.
    fn restart(self: &Arc<Self>, station: Station, down: Millis) {
        let world = Arc::clone(self);
        tokio::spawn(async move {
            let machine = &station.machine;
            machine.awake().await;
            if world.knows_alone(machine) {
                return;
            }
            machine.leave();
            while let Err(error) = station.visitors.shutdown().await {
                world.search(|| format!("{error:?} {error}"), "a shutdown's error");
            }
            world.hear(&station);
            if !machine.is_dead() {
                world.crash(machine, down);
            }
        });
    }
}
