//! What may go wrong, or be done at a bad moment.

use wix_visitor_proof::model::Fault as Row;

/// One kind of disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The endpoint answers 5xx.
    Transient,
    /// The endpoint answers 429 and asks for patience.
    Throttled,
    /// The endpoint answers something that could mean a refusal.
    Doubtful,
    /// The endpoint says that the request can never work.
    Misconfigured,
    /// A grant never reaches the endpoint; its sender hears nothing.
    RequestLost,
    /// A grant acts; its sender hears nothing, or a gateway's error.
    ReplyLost,
    /// A grant acts after its sender gave up on it, within the lease.
    Late,
    /// One operation of the store fails.
    StoreDown,
    /// A write is applied, and its answer is missing.
    StoreUnknown,
    /// A write's answer is missing, and it is applied later.
    StoreLate,
    /// A write's answer is missing, and it is never applied.
    StoreLost,
    /// One operation of the store takes long, perhaps too long.
    StoreSlow,
    /// The store has no room for what a grant would bring.
    NoRoom,
    /// An instance ends at an await, with all it holds in memory, and starts again later.
    Crash,
    /// An instance stands still.
    Pause,
    /// A machine sleeps: as a pause, and its monotonic clock stands still too.
    Sleep,
    /// A failover of the store loses the last write.
    FailoverOne,
    /// A failover of the store loses the last two writes.
    FailoverTwo,
    /// The store is down for everybody for a while.
    StoreOutage,
    /// The endpoint is down for a while.
    EndpointOutage,
    /// One instance cannot reach the store for a while.
    CutOff,
    /// An instance's wall clock is set forward or back.
    Jump,
    /// An instance is shut down in good order, and starts again.
    Restart,
    /// A caller goes away before it is answered.
    DroppedCaller,
    /// The application sets tokens.
    SignIn,
    /// The application forgets the visitor.
    Forget,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Transient,
        Self::Throttled,
        Self::Doubtful,
        Self::Misconfigured,
        Self::RequestLost,
        Self::ReplyLost,
        Self::Late,
        Self::StoreDown,
        Self::StoreUnknown,
        Self::StoreLate,
        Self::StoreLost,
        Self::StoreSlow,
        Self::NoRoom,
        Self::Crash,
        Self::Pause,
        Self::Sleep,
        Self::FailoverOne,
        Self::FailoverTwo,
        Self::StoreOutage,
        Self::EndpointOutage,
        Self::CutOff,
        Self::Jump,
        Self::Restart,
        Self::DroppedCaller,
        Self::SignIn,
        Self::Forget,
    ];

    /// Strikes at an operation that no endpoint makes cost anything.
    pub const HARMLESS: [Self; 11] = [
        Self::Transient,
        Self::Throttled,
        Self::Doubtful,
        Self::Misconfigured,
        Self::RequestLost,
        Self::StoreDown,
        Self::StoreUnknown,
        Self::StoreLate,
        Self::StoreLost,
        Self::StoreSlow,
        Self::NoRoom,
    ];

    /// Faults that some endpoint makes cost something.
    pub const COSTLY: [Self; 7] =
        [Self::ReplyLost, Self::Late, Self::Crash, Self::Pause, Self::Sleep, Self::FailoverOne, Self::FailoverTwo];

    /// What reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transient => "endpoint answers 5xx",
            Self::Throttled => "endpoint answers 429",
            Self::Doubtful => "endpoint answers something doubtful",
            Self::Misconfigured => "endpoint calls it misconfigured",
            Self::RequestLost => "request lost",
            Self::ReplyLost => "reply lost",
            Self::Late => "request acts late",
            Self::StoreDown => "store operation fails",
            Self::StoreUnknown => "store reply unknown, applied",
            Self::StoreLate => "store reply unknown, applied later",
            Self::StoreLost => "store reply unknown, not applied",
            Self::StoreSlow => "slow store operation",
            Self::NoRoom => "no room in the store",
            Self::Crash => "crash",
            Self::Pause => "pause past the lease",
            Self::Sleep => "machine sleeps",
            Self::FailoverOne => "failover, one write back",
            Self::FailoverTwo => "failover, two writes back",
            Self::StoreOutage => "store outage",
            Self::EndpointOutage => "endpoint outage",
            Self::CutOff => "instance cut off from the store",
            Self::Jump => "wall clock jumps",
            Self::Restart => "restart in good order",
            Self::DroppedCaller => "caller dropped",
            Self::SignIn => "tokens set",
            Self::Forget => "visitor forgotten",
        }
    }

    /// Its row in the tables of the model check; none for what those know nothing of.
    pub fn row(self) -> Option<Row> {
        Some(match self {
            Self::Transient | Self::Throttled | Self::Doubtful | Self::Misconfigured | Self::EndpointOutage => {
                Row::Transient
            }
            Self::StoreDown | Self::StoreSlow | Self::NoRoom | Self::StoreOutage | Self::CutOff => Row::Transient,
            Self::StoreUnknown | Self::StoreLate | Self::StoreLost => Row::StoreUnknown,
            Self::RequestLost => Row::RequestLost,
            Self::ReplyLost => Row::ReplyLost,
            Self::Late => Row::Late,
            Self::Crash => Row::Crash,
            Self::Pause => Row::Pause,
            Self::Sleep => Row::Sleep,
            Self::FailoverOne => Row::FailoverOne,
            Self::FailoverTwo => Row::FailoverTwo,
            Self::SignIn => Row::Set,
            Self::Forget => Row::Forget,
            Self::Jump | Self::Restart | Self::DroppedCaller => return None,
        })
    }

    /// Whether some endpoint makes it cost something.
    pub fn is_costly(self) -> bool {
        Self::COSTLY.contains(&self)
    }

    /// Whether it takes back what the store had confirmed.
    pub fn is_failover(self) -> bool {
        matches!(self, Self::FailoverOne | Self::FailoverTwo)
    }

    /// Whether a whole instance is struck.
    pub fn is_of_instance(self) -> bool {
        matches!(self, Self::Crash | Self::Pause | Self::Sleep)
    }

    /// Its bit in a set of faults.
    pub fn bit(self) -> u32 {
        1 << self as u32
    }
}
