//! What an exploration looks out for.

/// Something that an execution did, or ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finding {
    /// A refresh token was redeemed twice (of a static one: twice in one life of an access token).
    Twice,
    /// At a quiescent end no refresh token of the visitor that still works is in the store or in a live process.
    Lost,
    /// Once everybody has called again, the store does not hold a working token of the visitor.
    Replaced,
    /// A new visitor was served, and once everybody has called again, another stands in its place.
    Twins,
    /// Tokens of two identities stand in one lineage.
    Mixed,
    /// What was forgotten is back.
    Returned,
    /// A live instance went back behind what the application did there, or behind what it had seen of that.
    Behind,
    /// An older record was written over a newer one.
    Backwards,
    /// A claim was taken from a holder within its lease.
    Broken,
    /// A grant was sent on a claim that may have run out.
    Overdue,
    /// A grant was sent while another for the same identity was still under way.
    Overlap,
    /// More than one mint for one new visitor.
    ManyMints,
    /// More than one grant for one renewal.
    ManyGrants,
    /// An execution that can go on for ever.
    Livelock,
    /// An execution that ended with somebody still waiting.
    Stuck,
}

impl Finding {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Twice,
        Self::Lost,
        Self::Replaced,
        Self::Twins,
        Self::Mixed,
        Self::Returned,
        Self::Behind,
        Self::Backwards,
        Self::Broken,
        Self::Overdue,
        Self::Overlap,
        Self::ManyMints,
        Self::ManyGrants,
        Self::Livelock,
        Self::Stuck,
    ];
}

/// A set of findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings(u32);

impl Findings {
    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        self.0 |= 1 << finding as u32;
    }

    /// Whether it is among them.
    pub fn has(self, finding: Finding) -> bool {
        self.0 & (1 << finding as u32) != 0
    }

    /// Those there are.
    pub fn iter(self) -> impl Iterator<Item = Finding> {
        Finding::ALL.into_iter().filter(move |finding| self.has(*finding))
    }
}
