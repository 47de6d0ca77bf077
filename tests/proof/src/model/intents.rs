//! What the application does to the visitor: the steps of `Driver::impose`, and what they may come upon.

use std::sync::Arc;
use std::time::Duration;

use wix_visitor_core::protocol::flight::{Seen, Swap};
use wix_visitor_core::protocol::intent::{Intent, intended, stems_from};
use wix_visitor_core::protocol::reconcile::Held;
use wix_visitor_core::record::{Lineage, Standing};
use wix_visitor_core::{AccessToken, Etag, RefreshToken, Role, Tokens};

use crate::model::config::Fault;
use crate::model::instance::{Answer, Doing, Imposing, Instance};
use crate::model::steps::{Collector, freeze};
use crate::model::weaken::{Rule, SAME};
use crate::model::world::{Cx, Limbo, World};

impl World {
    pub(crate) fn intent_steps(&self, who: usize, instance: &Instance, to: &mut Collector<'_>) {
        let some = Some(who);
        let Some(imposing) = &instance.imposing else {
            to.add(some, "begins to set tokens", Some(Fault::Set), |world, cx| world.begin_intent(cx, who, true));
            to.add(some, "begins to forget", Some(Fault::Forget), |world, cx| world.begin_intent(cx, who, false));
            return;
        };
        match &imposing.doing {
            Doing::Load => {
                to.add(some, "loads for the application", None, |world, cx| {
                    let standing = world.store.clone();
                    world.prepare_intent(cx, who, standing);
                });
                to.add(some, "cannot load for the application", Some(Fault::Transient), |world, _| {
                    world.at(who).imposing = None;
                });
            }
            Doing::Swap { swap, asked, .. } => {
                let write = |world: &mut World, cx: &mut Cx<'_>| {
                    let answer = world.exchange(cx, swap.expected, swap.new.clone(), false);
                    match answer {
                        Answer::Conflict(Some(seen)) if seen.etag == swap.new.etag => Answer::Swapped,
                        answer => answer,
                    }
                };
                to.add(some, "writes for the application", None, |world, cx| {
                    let answer = write(world, cx);
                    if let Some(imposing) = &mut world.at(who).imposing {
                        imposing.doing = Doing::Answered { answer, asked: *asked };
                    }
                });
                to.add(some, "cannot write for the application", Some(Fault::Transient), |world, _| {
                    world.at(who).imposing = None;
                });
                to.add(
                    some,
                    "writes for the application, hears nothing, writes again",
                    Some(Fault::StoreUnknown),
                    |world, cx| {
                        write(world, cx);
                    },
                );
                to.add(some, "writes for the application, hears nothing", Some(Fault::StoreUnknown), |world, cx| {
                    write(world, cx);
                    world.at(who).imposing = None;
                });
                to.add(
                    some,
                    "its write for the application is under way, it gives up",
                    Some(Fault::StoreUnknown),
                    |world, _| {
                        world.limbo.push(Limbo { expected: swap.expected, new: swap.new.clone() });
                        world.at(who).imposing = None;
                    },
                );
                to.add(
                    some,
                    "its write for the application is under way, it writes again",
                    Some(Fault::StoreUnknown),
                    |world, _| {
                        world.limbo.push(Limbo { expected: swap.expected, new: swap.new.clone() });
                    },
                );
                if instance.flying.is_none() {
                    freeze(
                        who,
                        to,
                        "stands still before it writes for the application",
                        "falls asleep before it writes for the application",
                    );
                }
            }
            Doing::Answered { answer, .. } => {
                to.add(some, "hears for the application", None, |world, cx| match answer {
                    Answer::Conflict(Some(seen)) if stems_from(&seen.record, imposing.lineage) => {
                        let (Seen { etag, record }, seen) = (seen.clone(), world.now(who));
                        world.at(who).imposing = None;
                        world.at(who).impose(Held { record, etag: Some(etag), seen });
                        world.served(who);
                    }
                    Answer::Conflict(seen) => world.prepare_intent(cx, who, seen.clone()),
                    _ => {
                        if let Some(Imposing {
                            doing: Doing::Answered { asked, .. },
                            wrote: Some(Seen { etag, record }),
                            ..
                        }) = world.at(who).imposing.take()
                        {
                            world.at(who).impose(Held { record, etag: Some(etag), seen: asked });
                            world.served(who);
                        }
                    }
                })
            }
            Doing::Grant(_) | Doing::Sleep { .. } => {}
        }
    }

    fn begin_intent(&mut self, cx: &mut Cx<'_>, who: usize, set: bool) {
        let intent = if set {
            let refresh = self.endpoint.begin();
            let access = AccessToken::new(
                format!("set-{}", refresh.expose()),
                self.wall() + Duration::from_secs(cx.config.life),
            );
            Intent::Set(Tokens::new(Some(access), Some(RefreshToken::new(refresh, Role::Member))))
        } else {
            Intent::Forget
        };
        let lineage = Lineage(if cx.is_without(Rule::Lineage) { SAME } else { self.draw() });
        let known = self.at(who).held.clone().filter(|held| held.etag.is_some());
        self.at(who).imposing = Some(Imposing { intent, lineage, doing: Doing::Load, wrote: None });
        if let Some(Held { record, etag: Some(etag), .. }) = known {
            self.prepare_intent(cx, who, Some(Seen { etag, record }));
        }
    }

    fn prepare_intent(&mut self, cx: &mut Cx<'_>, who: usize, standing: Option<Seen>) {
        let (now, policy) = (self.now(who), Arc::clone(&self.policy));
        let etag = Etag::from_bits(self.draw());
        let instance = self.at(who);
        let Some(imposing) = &mut instance.imposing else { return };
        let held = instance.held.as_ref().map(|held| &held.record);
        let standing_record = standing.as_ref().map(|seen| &seen.record);
        let mut record = intended(&imposing.intent, standing_record, held, imposing.lineage, now.wall, &policy);
        if cx.is_without(Rule::Epoch) {
            record.epoch = 0;
        }
        if cx.is_without(Rule::Tombstone) && record.is_tombstone() {
            record.standing = Standing::Empty;
        }
        let new = Seen { etag, record };
        imposing.wrote = Some(new.clone());
        let swap = Swap { expected: standing.map(|seen| seen.etag), new, precious: true, claims: false };
        imposing.doing = Doing::Swap { swap: Box::new(swap), asked: now, blind: false };
        self.intents_etags.push(etag);
    }
}
