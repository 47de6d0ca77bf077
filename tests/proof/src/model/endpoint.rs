//! The token endpoint: families of refresh tokens, and what becomes of one that is redeemed.

use wix_visitor_core::Secret;

/// How an endpoint treats refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// A refresh token is never replaced.
    Static,
    /// Each redemption brings a new one; the spent one still works until its grace is over, and is refused after.
    Grace,
    /// The same, but a spent token that is redeemed after its grace revokes the whole family.
    Reuse,
    /// Each redemption brings a new one, and the spent one is refused from then on.
    Single,
    /// As [`Grace`](Self::Grace), but a token that is redeemed once more ends what its last redemption brought. No column of its
    /// own: alternates show their worth here.
    Latest,
}

impl Behaviour {
    /// Those that the tables have a column for, in their order.
    pub const ALL: [Self; 4] = [Self::Static, Self::Grace, Self::Reuse, Self::Single];

    /// The column's head.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static endpoint",
            Self::Grace => "rotating, grace",
            Self::Reuse => "with reuse detection",
            Self::Single => "single use",
            Self::Latest => "rotating, grace, one token at a time",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Token {
    spent: bool,
    /// What its last redemption brought, and whether that was ended by one more.
    child: Option<usize>,
    ended: bool,
    /// Its grace has ended.
    over: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Family {
    tokens: Vec<Token>,
    revoked: bool,
}

/// The endpoint's own state. A family is one visitor's or member's identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) behaviour: Behaviour,
    families: Vec<Family>,
    /// Renewals since time last went on by a token's life; counted where nothing goes wrong.
    pub(crate) renewals: u8,
    pub(crate) mints: u8,
}

/// What a redemption came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redeemed {
    /// A refresh token, and whether the one redeemed had been redeemed before.
    Renewed {
        refresh: Secret,
        twice: bool,
    },
    Refused,
}

/// Which token of which family a text names.
fn parse(text: &str) -> Option<(usize, usize)> {
    let (family, token) = text.strip_prefix('f')?.split_once('-')?;
    Some((family.parse().ok()?, token.parse().ok()?))
}

/// Which family a refresh token belongs to.
pub(crate) fn family_of(refresh: &Secret) -> Option<usize> {
    parse(refresh.expose()).map(|(family, _)| family)
}

fn name(family: usize, token: usize) -> Secret {
    Secret::new(format!("f{family}-{token}"))
}

impl Endpoint {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, families: Vec::new(), renewals: 0, mints: 0 }
    }

    /// A new identity; its first refresh token.
    pub(crate) fn begin(&mut self) -> Secret {
        self.families.push(Family { tokens: vec![Token::default()], revoked: false });
        name(self.families.len() - 1, 0)
    }

    pub(crate) fn families(&self) -> usize {
        self.families.len()
    }

    pub(crate) fn redeem(&mut self, refresh: &Secret) -> Redeemed {
        let Some((number, index)) = parse(refresh.expose()) else { return Redeemed::Refused };
        let Some(family) = self.families.get_mut(number) else { return Redeemed::Refused };
        let next = family.tokens.len();
        let Some(token) = family.tokens.get_mut(index) else { return Redeemed::Refused };
        if family.revoked || token.ended {
            return Redeemed::Refused;
        }
        let twice = token.spent;
        match self.behaviour {
            Behaviour::Static => {
                token.spent = true;
                return Redeemed::Renewed { refresh: refresh.clone(), twice };
            }
            Behaviour::Single if twice => return Redeemed::Refused,
            Behaviour::Grace | Behaviour::Latest if token.over => return Redeemed::Refused,
            Behaviour::Reuse if token.over => {
                family.revoked = true;
                return Redeemed::Refused;
            }
            _ => {}
        }
        token.spent = true;
        if self.behaviour == Behaviour::Latest {
            let before = token.child.replace(next);
            if let Some(before) = before.and_then(|before| family.tokens.get_mut(before)) {
                before.ended = true;
            }
        }
        family.tokens.push(Token::default());
        Redeemed::Renewed { refresh: name(number, next), twice }
    }

    /// Whether a refresh token would be taken now.
    pub(crate) fn takes(&self, refresh: &Secret) -> bool {
        let Some((number, index)) = parse(refresh.expose()) else { return false };
        let Some(family) = self.families.get(number) else { return false };
        let Some(token) = family.tokens.get(index) else { return false };
        let spent = match self.behaviour {
            Behaviour::Static => false,
            Behaviour::Single => token.spent,
            Behaviour::Grace | Behaviour::Reuse => token.over,
            Behaviour::Latest => token.over || token.ended,
        };
        !family.revoked && !spent
    }

    /// A token's life goes by.
    pub(crate) fn grow_old(&mut self) {
        for token in self.families.iter_mut().flat_map(|family| &mut family.tokens) {
            if self.behaviour == Behaviour::Static {
                // What counts as twice is twice in one life of an access token.
                token.spent = false;
            } else {
                token.over = token.spent;
            }
        }
        self.renewals = 0;
    }
}
