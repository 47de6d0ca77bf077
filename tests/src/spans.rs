//! Spans as a test sees them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// One span.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// Its name.
    pub name: &'static str,
    /// Its level.
    pub level: Option<Level>,
    /// What its fields said in the end.
    pub fields: BTreeMap<&'static str, String>,
    /// The name of the span it is in.
    pub within: Option<&'static str>,
    /// The name of the span it follows from.
    pub follows: Option<&'static str>,
}

/// All spans of ours that this thread makes while this lives.
#[derive(Debug)]
pub struct Spans {
    seen: Seen,
    _here: DefaultGuard,
}

#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<BTreeMap<u64, Span>>>);

impl Spans {
    /// Begins to see them, of every level.
    pub fn seen() -> Self {
        let seen = Seen::default();
        let here = tracing_subscriber::registry().with(seen.clone());
        Self { seen, _here: tracing::subscriber::set_default(here) }
    }

    /// Those made so far, in this order.
    pub fn all(&self) -> Vec<Span> {
        self.seen.spans().values().cloned().collect()
    }

    /// Those of this name, as `field=value …`.
    pub fn named(&self, name: &str) -> Vec<String> {
        let shown = |span: &Span| {
            let fields: Vec<_> = span.fields.iter().map(|(field, value)| format!("{field}={value}")).collect();
            fields.join(" ")
        };
        self.all().iter().filter(|span| span.name == name).map(shown).collect()
    }
}

impl Seen {
    fn spans(&self) -> MutexGuard<'_, BTreeMap<u64, Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By which number a span is known: the registry gives ids to others once they are free again.
struct Number(u64);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let (Some(made), metadata) = (context.span(id), attributes.metadata()) else { return };
        let mut spans = self.spans();
        let number = spans.len() as u64;
        let within = made.parent().map(|parent| parent.name());
        let mut span = Span { name: metadata.name(), level: Some(*metadata.level()), within, ..Span::default() };
        attributes.record(&mut Fields(&mut span.fields));
        spans.insert(number, span);
        made.extensions_mut().insert(Number(number));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let number = context.span(id).and_then(|span| span.extensions().get::<Number>().map(|number| number.0));
        if let Some(number) = number
            && let Some(span) = self.spans().get_mut(&number)
        {
            values.record(&mut Fields(&mut span.fields));
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let number = context.span(id).and_then(|span| span.extensions().get::<Number>().map(|number| number.0));
        let followed = context.span(follows).map(|span| span.name());
        if let Some(number) = number
            && let Some(span) = self.spans().get_mut(&number)
        {
            span.follows = followed;
        }
    }
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}
