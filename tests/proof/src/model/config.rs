//! What one exploration is about: how many instances, which endpoint, which faults may strike, and which rule is weakened.

use crate::model::endpoint::Behaviour;
use crate::model::weaken::Rule;

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

/// How often one fault can strike: each has two bits.
pub const MOST_OF_ONE: usize = 3;

/// How often each fault may still strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget(u32);

impl Budget {
    pub(crate) fn new(faults: &[Fault]) -> Self {
        let mut budget = Self::default();
        for fault in faults {
            // One more would run into the next fault's bits.
            assert!(budget.of(*fault) < MOST_OF_ONE, "too often: {}", fault.name());
            budget.0 += 1 << (2 * *fault as u32);
        }
        budget
    }

    fn of(self, fault: Fault) -> usize {
        (self.0 >> (2 * fault as u32) & 3) as usize
    }

    pub(crate) fn has(self, fault: Fault) -> bool {
        self.of(fault) > 0
    }

    #[must_use]
    pub(crate) fn without(self, fault: Fault) -> Self {
        if self.has(fault) { Self(self.0 - (1 << (2 * fault as u32))) } else { self }
    }
}

/// What stands in the store at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        let config = Self {
            behaviour,
            instances: 2,
            start: Start::Visitor,
            rounds: Vec::new(),
            faults: faults.to_vec(),
            life: 0,
            without: None,
        };
        config.over(&[Call::Serve, Call::Serve])
    }

    /// The same with this many instances.
    #[must_use]
    pub fn among(self, instances: usize) -> Self {
        Self { instances, ..self }
    }

    /// The same from another start.
    #[must_use]
    pub fn from(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// The same over these rounds. All of them, and the one that judges the end, fit into the hour for which a process that
    /// holds a later generation may put that back over a mint.
    #[must_use]
    pub fn over(self, rounds: &[Call]) -> Self {
        Self { life: 3_000 / (rounds.len() as u64 + 1), rounds: rounds.to_vec(), ..self }
    }

    /// A fault that is listed more often than one can strike.
    pub fn overfull(&self) -> Option<Fault> {
        let count = |fault: &Fault| self.faults.iter().filter(|other| *other == fault).count();
        self.faults.iter().copied().find(|fault| count(fault) > MOST_OF_ONE)
    }

    /// What is explored, in a line.
    pub fn title(&self) -> String {
        let start = match self.start {
            Start::Visitor => "a visitor",
            Start::Absent => "nothing there",
        };
        let without = self.without.map_or_else(String::new, |rule| format!(", without {rule:?}"));
        let Self { instances, rounds, faults, behaviour, .. } = self;
        format!("{}, {instances} instances, {start}, {rounds:?}{without}: {}", behaviour.name(), names(faults))
    }
}

/// Faults in words.
pub fn names(faults: &[Fault]) -> String {
    match faults {
        [] => "no fault".to_owned(),
        faults => faults.iter().map(|fault| fault.name()).collect::<Vec<_>>().join(" + "),
    }
}
