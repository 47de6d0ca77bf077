//! All that is decided before a run: replayed as it is, and shrunk by taking things out of it.
pub mod chance;
pub mod draft;
pub mod fault;
pub mod flaw;
pub mod shrink;

use wix_visitor_proof::model::{Behaviour as Column, Start};
use wix_visitor_proof::promise::{Cause, cause};

use crate::plan::fault::Fault;
use crate::plan::flaw::Flaw;

/// A moment or a time, in milliseconds of simulated time.
pub type Millis = u64;

/// A second.
pub const SECOND: Millis = 1_000;
/// A minute.
pub const MINUTE: Millis = 60 * SECOND;
/// An hour.
pub const HOUR: Millis = 60 * MINUTE;

/// How an endpoint treats refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Behaviour {
    /// A refresh token is never replaced.
    Static,
    /// Each redemption brings a new one; the spent one still works until its grace is over, and is refused after.
    Grace,
    /// The same, but a spent token that is redeemed after its grace revokes the whole family.
    Reuse,
    /// Each redemption brings a new one, and the spent one is refused from then on.
    Single,
}

impl Behaviour {
    /// Why these faults may lose a visitor there, as the tables of the model check have it.
    pub fn cause(self, start: Start, faults: &[Fault]) -> Option<Cause> {
        let column = match self {
            Self::Static => Column::Static,
            Self::Grace => Column::Grace,
            Self::Reuse => Column::Reuse,
            Self::Single => Column::Single,
        };
        cause(column, start, &faults.iter().filter_map(|fault| fault.row()).collect::<Vec<_>>())
    }

    /// All of them, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Static, Self::Grace, Self::Reuse, Self::Single];

    /// The column's head.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static endpoint",
            Self::Grace => "rotating, grace",
            Self::Reuse => "with reuse detection",
            Self::Single => "single use",
        }
    }
}

/// Which faults may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Campaign {
    /// Those that the tables call ok.
    Ok,
    /// Those that the tables call lost.
    Rest,
}

impl Campaign {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rest => "rest",
        }
    }
}

/// The endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// What becomes of a spent refresh token.
    pub behaviour: Behaviour,
    /// How long an access token lives.
    pub life: Millis,
    /// How long a spent refresh token still works, where it does.
    pub grace: Millis,
    /// A static refresh token is not repeated in a renewal's reply.
    pub silent: bool,
    /// Access tokens carry their own dates.
    pub dated: bool,
}

impl Site {
    /// Within what time somebody renews after a fault that spent a token.
    pub fn within(&self) -> Millis {
        if self.behaviour == Behaviour::Single { 30 * MINUTE } else { (self.grace * 8 / 10).min(30 * MINUTE) }
    }
}

/// One instance of the application.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// How far its wall clock is off.
    pub skew: i64,
    /// It takes part.
    pub used: bool,
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A valid authorization.
    Authorization,
    /// A renewal in any case.
    Renew,
    /// Another token than the present one, which was answered with a 401.
    Reject,
    /// To set a member's tokens: a sign-in.
    SetMember,
    /// To set the tokens of another visitor.
    SetVisitor,
    /// To forget.
    Forget,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// When.
    pub at: Millis,
    /// On which instance.
    pub node: usize,
    /// For which visitor.
    pub visitor: usize,
    /// What for.
    pub wish: Wish,
    /// After how long the caller goes away.
    pub dropped_after: Option<Millis>,
}

/// A fault that waits for an operation on behalf of one visitor.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    /// From when on.
    pub at: Millis,
    /// For whose operation.
    pub visitor: usize,
    /// How many operations that it could strike it lets pass.
    pub skip: u64,
    /// What happens.
    pub fault: Fault,
    /// After the operation has taken place, and not before.
    pub after: bool,
    /// How long it lasts.
    pub span: Millis,
}

/// A fault at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    /// When.
    pub at: Millis,
    /// On which instance, if it is one instance's.
    pub node: usize,
    /// What happens.
    pub fault: Fault,
    /// How long it lasts; of a jump, to where.
    pub span: Millis,
}

/// A time of calls and faults, and a calm in which everybody is called until all should be well again.
#[derive(Clone, Debug, Default)]
pub struct Episode {
    /// When it begins.
    pub begins: Millis,
    /// When its faults end.
    pub calm: Millis,
    /// When all should be well.
    pub ends: Millis,
    /// The calls.
    pub calls: Vec<Call>,
    /// Faults at operations.
    pub strikes: Vec<Strike>,
    /// Faults at moments.
    pub disturbances: Vec<Disturbance>,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it was drawn from, and what is drawn while it runs.
    pub seed: u64,
    /// Which faults meet in it.
    pub campaign: Campaign,
    /// The endpoint.
    pub site: Site,
    /// The instances.
    pub nodes: Vec<Node>,
    /// Which visitors take part.
    pub visitors: Vec<bool>,
    /// What happens.
    pub episodes: Vec<Episode>,
    /// What is broken on purpose.
    pub flaw: Option<Flaw>,
}

impl Plan {
    /// On which instances a visitor is served: all of a small fleet, a few of a large one.
    pub fn homes(&self, visitor: usize) -> impl Iterator<Item = usize> + use<> {
        const MOST: usize = 4;
        let nodes = self.nodes.len();
        let first = if nodes > MOST { visitor * 7 % nodes } else { 0 };
        let used: Vec<bool> = self.nodes.iter().map(|node| node.used).collect();
        (0..nodes.min(MOST)).map(move |home| (first + home) % nodes).filter(move |node| used.get(*node) == Some(&true))
    }
}
