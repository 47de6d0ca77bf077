//! Acting on a request: the one place from which the state changes.

use super::{
    Switches, api,
    asked::{Asked, RequestKind},
    control,
    fault::Faults,
    log::Note,
    login, oauth,
    reply::Reply,
    state::State,
    tools,
};

/// What acting depends on beside the state and the request.
pub(super) struct Context<'a> {
    pub(super) switches: Switches,
    pub(super) now_ms: u64,
    /// The sandbox's own address, for the links it gives out.
    pub(super) url: String,
    pub(super) faults: &'a Faults,
}

/// The true answer, and what to log about it.
pub(super) struct Done {
    pub(super) reply: Reply,
    pub(super) note: Note,
}

impl From<Reply> for Done {
    fn from(reply: Reply) -> Self {
        Self { reply, note: Note::default() }
    }
}

/// Whether a request needs the state at all.
pub(super) fn needs_state(kind: RequestKind) -> bool {
    !matches!(kind, RequestKind::Tool | RequestKind::Control | RequestKind::Preflight)
}

pub(super) fn act(state: &mut State, context: &Context, asked: &Asked) -> Done {
    match asked.kind {
        RequestKind::Mint => oauth::mint(state, context, asked),
        RequestKind::Renew => oauth::renew(state, context, asked),
        RequestKind::SignIn => oauth::sign_in(state, context, asked),
        RequestKind::OtherGrant => oauth::other_grant(asked).into(),
        RequestKind::TokenInfo => oauth::token_info(state, context, asked),
        RequestKind::Revoke if context.switches.revoke => oauth::revoke(state, asked).into(),
        RequestKind::Api | RequestKind::Revoke => api::call(state, context, asked),
        RequestKind::Login => login::answer(state, context, asked).into(),
        RequestKind::Control => control::answer(context.faults, asked).into(),
        RequestKind::Tool | RequestKind::Preflight => tools::answer(asked).into(),
    }
}
