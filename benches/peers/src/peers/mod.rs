//! What users would pick instead, each set up as its own documentation says.

pub(crate) mod sqlx;
pub(crate) mod tower_sessions;
pub(crate) mod yup_oauth2;
