//! What is promised: the worst that faults may come to, and what none of them excuses.

use crate::model::{Behaviour, Config, Explored, Fault, Finding, Start};

/// The worst that some execution comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is lost, and no refresh token is redeemed twice.
    Ok,
    /// Nothing is lost; a refresh token is redeemed twice.
    Dup,
    /// A visitor is lost.
    Lost,
}

impl Verdict {
    /// What an exploration came to. That a visitor which was new is not replaced is asked where there was none at first: who
    /// comes after one that was forgotten has no column of its own.
    pub fn of(start: Start, explored: &Explored) -> Self {
        let replaced = start == Start::Absent && explored.has(Finding::Twins);
        if replaced || explored.has(Finding::Lost) || explored.has(Finding::Replaced) {
            Self::Lost
        } else if explored.has(Finding::Twice) {
            Self::Dup
        } else {
            Self::Ok
        }
    }

    /// As the tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Dup => "ok dup",
            Self::Lost => "lost",
        }
    }
}

/// Why a visitor may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A token that works once, redeemed, and its reply gone.
    OnlyReply,
    /// A token that was spent long ago, redeemed by somebody who could not know.
    Punished,
    /// The newest token in nobody's hands until the grace of the last ends.
    GraceEnds,
    /// The only record of a visitor, gone before anybody else knew of it.
    FirstRecord,
    /// A visitor that no store has, in one process that ends or stands still.
    Unsaved,
    /// A visitor took the place of one that had taken the place of the visitor, before that was put back.
    ReplacedTwice,
}

impl Cause {
    /// In a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnlyReply => "the only reply",
            Self::Punished => "an old token redeemed",
            Self::GraceEnds => "a grace that ended",
            Self::FirstRecord => "a first record forgotten",
            Self::Unsaved => "never saved",
            Self::ReplacedTwice => "replaced twice",
        }
    }

    /// In a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OnlyReply => {
                "the one refresh token that still works was in a reply that never came, or in a process that ended"
            }
            Self::Punished => {
                "a process that stood still, or that knows only what the store went back to, redeems a refresh token that was \
                 spent long ago, and the endpoint revokes the whole family for it"
            }
            Self::GraceEnds => {
                "the newest refresh token was in a lost reply, or in a process that ended, and a pause or a failover keeps \
                 everybody else from redeeming the last one again before its grace ends"
            }
            Self::FirstRecord => {
                "the store forgot the very first record of a visitor, and an instance that never served it had no way to know: it \
                 minted, and of two visitors that nothing connects the store's stands. Only what was not yet replicated is forgotten, \
                 so a visitor is in this danger from its mint until the replicas have it; on Redis, `wait_replicas` makes that \
                 part of each write"
            }
            Self::Unsaved => {
                "it could not be saved, was served all the same, and the one process that has it ends, or stands still until another \
                 has minted"
            }
            Self::ReplacedTwice => {
                "whoever has the one refresh token that works stands still, or cannot show it, while others find the last one spent \
                 and mint; before it is back the same befalls what they minted, and a new visitor notes one predecessor only"
            }
        }
    }
}

/// Whether the reply of a grant, or the process that has it, is gone.
fn loses_reply(fault: Fault) -> bool {
    matches!(fault, Fault::ReplyLost | Fault::Late | Fault::Crash)
}

/// Whether a write may fail, or seem to.
fn fails_save(fault: Fault) -> bool {
    matches!(fault, Fault::Transient | Fault::StoreUnknown)
}

/// Whether an older token is redeemed while a newer one exists.
fn overlaps(fault: Fault) -> bool {
    fault.is_pause() || fault.is_failover()
}

/// Why these faults may lose a visitor at this kind of endpoint; `None` where they must not.
pub fn cause(behaviour: Behaviour, start: Start, faults: &[Fault]) -> Option<Cause> {
    let any = |which: fn(Fault) -> bool| faults.iter().any(|fault| which(*fault));
    let crash = faults.contains(&Fault::Crash);
    let is_new = start == Start::Absent;
    if is_new && any(Fault::is_failover) {
        return Some(Cause::FirstRecord);
    }
    match behaviour {
        Behaviour::Single if any(loses_reply) => Some(Cause::OnlyReply),
        Behaviour::Single if faults.iter().filter(|fault| overlaps(**fault)).count() > 1 => Some(Cause::ReplacedTwice),
        Behaviour::Reuse if any(overlaps) => Some(Cause::Punished),
        Behaviour::Grace | Behaviour::Latest
            if (crash && any(overlaps)) || (any(loses_reply) && any(Fault::is_pause)) =>
        {
            Some(Cause::GraceEnds)
        }
        _ if is_new && any(fails_save) && (crash || any(Fault::is_pause)) => Some(Cause::Unsaved),
        _ => None,
    }
}

/// The worst that these faults may come to, each striking once, with what the application does at any moment.
pub fn promised(behaviour: Behaviour, start: Start, faults: &[Fault]) -> Verdict {
    if cause(behaviour, start, faults).is_some() {
        Verdict::Lost
    } else if behaviour != Behaviour::Single && faults.iter().any(|fault| loses_reply(*fault) || overlaps(*fault)) {
        Verdict::Dup
    } else {
        Verdict::Ok
    }
}

/// What no execution may do under these faults, whatever it comes to.
pub fn forbidden(config: &Config, finding: Finding) -> bool {
    let any = |which: fn(Fault) -> bool| config.faults.iter().any(|fault| which(*fault));
    match finding {
        Finding::Mixed
        | Finding::Returned
        | Finding::Behind
        | Finding::Backwards
        | Finding::Broken
        | Finding::Overdue
        | Finding::ManyMints
        | Finding::ManyGrants
        | Finding::Livelock
        | Finding::Stuck => true,
        // What stood still sends late, a failover takes a claim away, and so does what the application writes over it.
        Finding::Overlap => !any(overlaps) && !any(Fault::is_intent),
        // Who was served first stays, whatever else may be lost.
        Finding::Twins => cause(config.behaviour, Start::Absent, &config.faults).is_none(),
        Finding::Twice | Finding::Lost | Finding::Replaced => false,
    }
}
