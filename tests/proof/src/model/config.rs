//! What one exploration is about: how many instances, which endpoint, which faults may strike, and which rule is weakened.

use crate::model::endpoint::Behaviour;

/// What may go wrong, or be done by the application, once each time it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// An instance ends, at any step, and starts again with nothing in memory.
    Crash,
    /// An instance stands still, at any step, for longer than a lease.
    Pause,
    /// A machine sleeps, at any step: as a pause, and its monotonic clock stands still too.
    Sleep,
    /// A grant never reaches the endpoint; its sender hears nothing.
    RequestLost,
    /// A grant acts; its sender hears nothing.
    ReplyLost,
    /// A grant acts after its sender gave up on it, within the lease.
    Late,
    /// The endpoint answers 503, or the store is unavailable.
    Transient,
    /// A write's answer is missing: the write was applied, or is applied at some later time, or never.
    StoreUnknown,
    /// A failover of the store loses the last write.
    FailoverOne,
    /// A failover of the store loses the last two writes.
    FailoverTwo,
    /// The application sets tokens, on any instance and at any moment.
    Set,
    /// The application forgets the visitor, on any instance and at any moment.
    Forget,
    /// One more caller wants what others on the same instance want, at any moment after them.
    Call,
}

impl Fault {
    /// All that the tables have a row for, in their order.
    pub const ALL: [Self; 12] = [
        Self::Transient,
        Self::StoreUnknown,
        Self::RequestLost,
        Self::ReplyLost,
        Self::Late,
        Self::Crash,
        Self::Pause,
        Self::Sleep,
        Self::FailoverOne,
        Self::FailoverTwo,
        Self::Set,
        Self::Forget,
    ];

    /// The row's head.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Pause => "pause past the lease",
            Self::Sleep => "sleep",
            Self::RequestLost => "request lost",
            Self::ReplyLost => "reply lost",
            Self::Late => "request acts late",
            Self::Transient => "transient failure",
            Self::StoreUnknown => "store reply unknown",
            Self::FailoverOne => "failover, one write back",
            Self::FailoverTwo => "failover, two writes back",
            Self::Set => "set tokens",
            Self::Forget => "forget",
            Self::Call => "one more caller",
        }
    }

    /// Whether it takes back what the store had confirmed.
    pub fn is_failover(self) -> bool {
        matches!(self, Self::FailoverOne | Self::FailoverTwo)
    }

    /// Whether it makes an instance outlive its lease.
    pub fn is_pause(self) -> bool {
        matches!(self, Self::Pause | Self::Sleep)
    }

    /// Whether it is the application's own doing.
    pub fn is_intent(self) -> bool {
        matches!(self, Self::Set | Self::Forget)
    }
}

/// How often each fault may still strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget(u32);

impl Budget {
    pub(crate) fn new(faults: &[Fault]) -> Self {
        let mut budget = Self::default();
        for fault in faults {
            budget.0 += 1 << (2 * *fault as u32);
        }
        budget
    }

    pub(crate) fn has(self, fault: Fault) -> bool {
        self.0 >> (2 * fault as u32) & 3 > 0
    }

    #[must_use]
    pub(crate) fn without(self, fault: Fault) -> Self {
        if self.has(fault) { Self(self.0 - (1 << (2 * fault as u32))) } else { self }
    }
}

/// What stands in the store at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A visitor whose access token has expired.
    Visitor,
    /// Nothing: the first call mints.
    Absent,
}

/// What each instance wants in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// The access token has expired, and somebody waits for another.
    Serve,
    /// The access token is due, and still serves.
    Renew,
    /// The access token was answered with a 401.
    Reject,
}

/// A rule of the protocol that is left out, by tampering with what stands between the code that decides and its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A claim is not used once too little of its lease is left: here, its holder never sees time go by.
    Deadline,
    /// What counts is the clock that saw more time go by: here, only the monotonic one.
    SleepGuard,
    /// A claim of others is honoured: here, others do not see it.
    Claim,
    /// A claim is broken once this very nonce was watched for a lease: here, all nonces look the same.
    Nonce,
    /// Refresh tokens are kept aside: here, alternates are never stored.
    Alternates,
    /// A record that the store lost is put back: here, whatever the store shows is adopted.
    PutBack,
    /// The application's changes count: here, every epoch is zero.
    Epoch,
    /// An identity has a name: here, all have the same.
    Lineage,
    /// To forget leaves a tombstone: here, an empty record.
    Tombstone,
    /// After a refusal the record is read again: here, what stands there is overwritten unseen.
    ReRead,
    /// A mint notes what it replaces: here, it does not.
    Replaces,
    /// The claim is kept when a grant's fate is unknown: here, it is released.
    KeptClaim,
}

/// One exploration.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the endpoint treats refresh tokens.
    pub behaviour: Behaviour,
    /// How many instances share the store.
    pub instances: usize,
    /// What stands there at first.
    pub start: Start,
    /// What every instance wants, round by round; a token's life lies between two rounds.
    pub rounds: Vec<Call>,
    /// What may go wrong.
    pub faults: Vec<Fault>,
    /// How long an access token lives, in seconds.
    pub life: u64,
    /// The rule that is left out.
    pub without: Option<Rule>,
}

impl Config {
    /// Two instances, a visitor, two rounds of callers who wait.
    pub fn new(behaviour: Behaviour, faults: &[Fault]) -> Self {
        Self {
            behaviour,
            instances: 2,
            start: Start::Visitor,
            rounds: vec![Call::Serve, Call::Serve],
            faults: faults.to_vec(),
            // Short enough for a process that holds a later generation to look at the store within the hour for which it
            // may put that back over a mint.
            life: 40 * 60,
            without: None,
        }
    }

    /// What is explored, in a line.
    pub fn title(&self) -> String {
        let faults = match self.faults.as_slice() {
            [] => "no fault".to_owned(),
            faults => faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(" + "),
        };
        let start = match self.start {
            Start::Visitor => "a visitor",
            Start::Absent => "nothing there",
        };
        format!("{}, {} instances, {start}, {:?}: {faults}", self.behaviour.name(), self.instances, self.rounds)
    }
}
