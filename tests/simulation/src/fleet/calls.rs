//! What callers do.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, sleep_until};
use wix_visitor_core::{
    AccessToken, Authorization, Clock, Error, ErrorKind, RefreshToken, Role, Timestamp, Tokens, Visitor,
};

use crate::fleet::machine::Machine;
use crate::plan::chance::mix;
use crate::plan::fault::Fault;
use crate::plan::{Call, Millis, Wish};
use crate::world::issuer::family_of_refresh;
use crate::world::{Station, World, as_u64};

impl World {
    /// Makes a call when its time has come, and again every half minute until it is served, or it is too late.
    pub fn insist(self: &Arc<Self>, call: Call, until: Millis) {
        let world = Arc::clone(self);
        tokio::spawn(async move {
            sleep_until(world.at(call.at)).await;
            while world.now() < until {
                if let Some(station) = world.station(call.node) {
                    let machine = Arc::clone(&station.machine);
                    tokio::select! {
                        biased;
                        () = machine.ended() => {}
                        served = world.carry_out(call, station, false) => if served { return },
                    }
                }
                sleep(Duration::from_secs(30)).await;
            }
        });
    }

    /// Makes a call now. At the end of an episode, it is told what it came to.
    pub fn call(self: &Arc<Self>, call: Call, last: bool) {
        let Call { node, visitor, .. } = call;
        let Some(station) = self.station(node) else {
            if last {
                self.state().judge.last(visitor, node, Err("it does not run".to_owned()));
            }
            return;
        };
        let world = Arc::clone(self);
        tokio::spawn(async move { world.carry_out(call, station, last).await });
    }

    /// Whether the caller was given what it wanted, or can never be.
    async fn carry_out(&self, call: Call, station: Station, last: bool) -> bool {
        let machine = &station.machine;
        machine.awake().await;
        let began = self.now();
        let handle = station.visitors.visitor(&self.names[call.visitor]);
        let made = self.make(&handle, call, machine);
        let result = match call.dropped_after {
            None => made.await,
            Some(after) => tokio::select! {
                biased;
                result = made => result,
                () = machine.sleep(Duration::from_millis(after)) => {
                    self.injected(Fault::DroppedCaller, [call.visitor]);
                    return false;
                }
            },
        };
        if machine.is_dead() {
            return false;
        }
        let done = result.as_ref().map_or_else(|error| error.kind() == ErrorKind::InvalidInput, |_| true);
        self.search(|| format!("{result:?} {handle:?}"), "the answer to a call");
        self.answered(&call, machine, began, result, last);
        done
    }

    async fn make(
        &self,
        visitor: &Visitor,
        call: Call,
        machine: &Arc<Machine>,
    ) -> Result<Option<Authorization>, Error> {
        match call.wish {
            Wish::Authorization | Wish::Reject => {
                let turn = self.turn(call, machine, false).await;
                let header = visitor.authorization().await?;
                drop(turn);
                let now = self.now();
                // What an endpoint would answer to a token that has ended, and what a caller does then.
                let ended = self.state().issuer.whose(header.as_ref(), now).is_none_or(|(_, ended)| ended);
                if !ended && call.wish == Wish::Authorization {
                    return Ok(Some(header));
                }
                self.one_after_another(call).await;
                let _turn = self.turn(call, machine, true).await;
                visitor.renew_if(&header).await.map(Some)
            }
            Wish::Renew => {
                let _turn = self.turn(call, machine, true).await;
                visitor.renew().await.map(Some)
            }
            Wish::SetMember | Wish::SetVisitor => {
                self.injected(Fault::SignIn, [call.visitor]);
                let now = self.now();
                let reply = self.state().issuer.begin(Some(call.visitor), true, now);
                let ends: Timestamp = machine.wall() + reply.expires_in.unwrap_or_default();
                let access = reply.access_token.map(|token| AccessToken::new(token, ends));
                let role = if call.wish == Wish::SetMember { Role::Member } else { Role::Visitor };
                let family = reply.refresh_token.as_ref().and_then(family_of_refresh);
                let refresh = reply.refresh_token.map(|token| RefreshToken::new(token, role));
                visitor.set_tokens(Tokens::new(access, refresh)).await?;
                self.done(call.visitor, machine, family, now);
                Ok(None)
            }
            Wish::Forget => {
                self.injected(Fault::Forget, [call.visitor]);
                let asked = self.now();
                visitor.forget().await?;
                self.done(call.visitor, machine, None, asked);
                Ok(None)
            }
        }
    }

    /// The application is told that it has set these tokens, or none.
    fn done(&self, visitor: usize, machine: &Machine, family: Option<usize>, asked: Millis) {
        if !machine.is_dead() {
            let now = self.now();
            let during = asked..=now;
            self.state().judge.done(visitor, (machine.node, machine.life), family, during);
        }
    }

    /// Those who waited for the same flight wake in any order: what they do next, they do in an order that is always the same.
    async fn one_after_another(&self, call: Call) {
        let pause =
            mix(&[self.plan.seed, call.at, as_u64(call.node), as_u64(call.visitor), call.wish as u64]) % 200 + 1;
        sleep(Duration::from_millis(pause)).await;
    }

    fn answered(
        &self,
        call: &Call,
        machine: &Machine,
        began: u64,
        result: Result<Option<Authorization>, Error>,
        last: bool,
    ) {
        let now = self.now();
        let mut state = self.state();
        let at = (machine.node, machine.life);
        let told = match result {
            Ok(Some(header)) => {
                state.told.served += 1;
                match state.issuer.whose(header.as_ref(), now) {
                    Some((family, _)) => {
                        let crate::world::State { judge, issuer, .. } = &mut *state;
                        judge.served(call.visitor, at, family, began, issuer, now);
                        Ok(family)
                    }
                    None => Err("a token that the endpoint never issued".to_owned()),
                }
            }
            Ok(None) => Err("no token was asked for".to_owned()),
            Err(error) => {
                if error.kind() != ErrorKind::InvalidInput {
                    state.told.errors += 1;
                }
                Err(error.to_string())
            }
        };
        let outcome = told.as_ref().map_or(u64::MAX, |family| as_u64(*family));
        self.note_answer(&mut state, &[7, as_u64(call.visitor), as_u64(call.node), outcome], || {
            format!("instance {} visitor {}: {:?} -> {told:?}", call.node, call.visitor, call.wish)
        });
        if last {
            state.judge.last(call.visitor, call.node, told);
        }
    }
}
