//! The other side of the endpoint: identities, and what becomes of a refresh token that is redeemed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wix_visitor_core::{GrantReply, Secret};

use crate::fleet::machine::BEGIN;
use crate::plan::chance::mix;
use crate::plan::{Behaviour, Millis, Site};

/// What every access token begins with.
pub const ACCESS: &str = "OauthNG.sim.";
/// What every refresh token begins with.
pub const REFRESH: &str = "JWS.sim.";

/// One identity: a visitor's or member's cart, and the tokens that reach it.
#[derive(Debug)]
pub struct Family {
    /// Whose it is; nobody's yet where it is not known who asked.
    pub visitor: Option<usize>,
    /// Whether the application set it, and did not have it minted.
    pub set: bool,
    /// Since when it exists.
    pub born: Millis,
    /// When each refresh token was first redeemed.
    spent: Vec<Option<Millis>>,
    /// When each access token ends.
    ends: Vec<Millis>,
    revoked: bool,
}

/// What was asked of the endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Mints that acted.
    pub mints: u64,
    /// Renewals that acted.
    pub renewals: u64,
    /// Of these, with a token that had been redeemed before (of a static one: never).
    pub again: u64,
    /// Renewals that were refused.
    pub refused: u64,
    /// Answers that were errors, and requests that were lost.
    pub failed: u64,
}

/// All identities.
#[derive(Debug)]
pub struct Issuer {
    site: Site,
    seed: u64,
    families: Vec<Family>,
    /// What was asked of it.
    pub asked: Asked,
}

fn parse(text: &str, prefix: &str) -> Option<(usize, usize)> {
    let mut parts = text.strip_prefix(prefix)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Whose refresh token it is.
pub fn family_of_refresh(token: &Secret) -> Option<usize> {
    parse(token.expose(), REFRESH).map(|(family, _)| family)
}

impl Issuer {
    /// An endpoint that nobody has asked anything of.
    pub fn new(site: Site, seed: u64) -> Self {
        Self { site, seed, families: Vec::new(), asked: Asked::default() }
    }

    /// For how long access tokens live.
    pub fn life(&self) -> Millis {
        self.site.life
    }

    /// An identity.
    pub fn family(&self, family: usize) -> Option<&Family> {
        self.families.get(family)
    }

    /// Who sends this access token, and whether it has ended.
    pub fn whose(&self, access: &[u8], now: Millis) -> Option<(usize, bool)> {
        let (family, serial) = parse(std::str::from_utf8(access).ok()?, ACCESS)?;
        let ends = self.families.get(family)?.ends.get(serial)?;
        Some((family, *ends <= now))
    }

    /// A new identity; what a reply to its first grant holds.
    pub fn begin(&mut self, visitor: Option<usize>, set: bool, now: Millis) -> GrantReply {
        let family = self.families.len();
        self.families.push(Family { visitor, set, born: now, spent: vec![None], ends: Vec::new(), revoked: false });
        if !set {
            self.asked.mints += 1;
        }
        self.reply(family, 0, now)
    }

    /// A renewal; nothing if it is refused.
    pub fn redeem(&mut self, refresh: &Secret, now: Millis) -> Option<GrantReply> {
        let renewed = self.renew(refresh, now);
        match &renewed {
            Some(_) => self.asked.renewals += 1,
            None => self.asked.refused += 1,
        }
        renewed
    }

    fn renew(&mut self, refresh: &Secret, now: Millis) -> Option<GrantReply> {
        let (number, index) = parse(refresh.expose(), REFRESH)?;
        let family = self.families.get_mut(number)?;
        let spent = family.spent.get_mut(index)?;
        if family.revoked {
            return None;
        }
        if self.site.behaviour == Behaviour::Static {
            return Some(self.reply(number, index, now));
        }
        if let Some(since) = *spent {
            let over = now > since + self.site.grace;
            match self.site.behaviour {
                Behaviour::Single => return None,
                Behaviour::Reuse if over => {
                    family.revoked = true;
                    return None;
                }
                _ if over => return None,
                _ => self.asked.again += 1,
            }
        }
        spent.get_or_insert(now);
        family.spent.push(None);
        let next = family.spent.len() - 1;
        Some(self.reply(number, next, now))
    }

    /// Whether a refresh token would be taken now.
    pub fn takes(&self, refresh: &Secret, now: Millis) -> bool {
        let Some((number, index)) = parse(refresh.expose(), REFRESH) else { return false };
        let Some(family) = self.families.get(number) else { return false };
        let Some(spent) = family.spent.get(index) else { return false };
        let good = match (self.site.behaviour, spent) {
            (_, None) | (Behaviour::Static, _) => true,
            (Behaviour::Single, _) => false,
            (_, Some(since)) => now <= since + self.site.grace,
        };
        good && !family.revoked
    }

    fn reply(&mut self, number: usize, index: usize, now: Millis) -> GrantReply {
        let Site { life, silent, dated, .. } = self.site;
        let mut reply = GrantReply::default();
        let Some(family) = self.families.get_mut(number) else { return reply };
        let serial = family.ends.len();
        family.ends.push(now + life);
        let tail = |kind| {
            let seeds =
                [self.seed, kind, u64::try_from(number).unwrap_or(0), u64::try_from(serial + index).unwrap_or(0)];
            mix(&seeds)
        };
        let payload = if dated {
            let second = |at: Millis| (BEGIN + i64::try_from(at).unwrap_or(0)) / 1_000;
            let text = format!(r#"{{"iat":{},"exp":{}}}"#, second(now), second(now + life));
            format!(".{}", URL_SAFE_NO_PAD.encode(text))
        } else {
            String::new()
        };
        reply.access_token = Some(Secret::new(format!("{ACCESS}{number}.{serial}{payload}.{:016x}", tail(1))));
        if !(silent && serial > 0) {
            reply.refresh_token = Some(Secret::new(format!("{REFRESH}{number}.{index}.{:016x}", tail(2))));
        }
        reply.expires_in = Some(std::time::Duration::from_millis(life));
        reply
    }
}
