//! Metrics as a test sees them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

/// A recorder that shows all that it is told, and logs each name with its labels when it first hears of it: a number holds no
/// secret, a label might. Clones are the same recorder.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    numbers: BTreeMap<Key, Arc<Number>>,
    texts: BTreeMap<String, String>,
}

/// A counter or a gauge; or a histogram, as its count and sum.
#[derive(Debug, Default)]
struct Number(Mutex<(f64, u64)>);

impl Numbers {
    /// The recorder of all sites that are built within this.
    pub fn of<T>(&self, build: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(self, build)
    }

    /// The number of this name whose labels, but for the site, have these values; of a histogram, the sum.
    pub fn value(&self, name: &str, labels: &[&str]) -> f64 {
        self.number(name, labels).0
    }

    /// How many values a histogram was told.
    pub fn count(&self, name: &str, labels: &[&str]) -> u64 {
        self.number(name, labels).1
    }

    fn number(&self, name: &str, labels: &[&str]) -> (f64, u64) {
        let state = self.state();
        let wanted = |key: &Key| {
            let values = key.labels().filter(|label| label.key() != "site").map(metrics::Label::value);
            key.name() == name && values.eq(labels.iter().copied())
        };
        let (_, number) = state.numbers.iter().find(|(key, _)| wanted(key)).expect("a metric of this name and labels");
        *number.locked()
    }

    /// All names, each with its labels.
    pub fn keys(&self) -> Vec<Key> {
        self.state().numbers.keys().cloned().collect()
    }

    /// What a metric is described as.
    pub fn text(&self, name: &str) -> Option<String> {
        self.state().texts.get(name).cloned()
    }

    /// All of it, about as Prometheus would read it.
    pub fn rendered(&self) -> String {
        let mut all = String::new();
        let state = self.state();
        for (name, text) in &state.texts {
            let _ = writeln!(all, "# HELP {name} {text}");
        }
        for (key, number) in &state.numbers {
            let (value, _) = *number.locked();
            let _ = writeln!(all, "{} {value}", shown(key));
        }
        all
    }

    /// Logs all of it, line by line.
    pub fn log(&self) {
        self.rendered().lines().for_each(|line| tracing::trace!("{line}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, key: &Key) -> Arc<Number> {
        let mut state = self.state();
        if let Some(number) = state.numbers.get(key) {
            return Arc::clone(number);
        }
        tracing::trace!("metric {}", shown(key));
        let number = Arc::<Number>::default();
        state.numbers.insert(key.clone(), Arc::clone(&number));
        number
    }

    fn describe(&self, name: &KeyName, text: &SharedString) {
        self.state().texts.insert(name.as_str().to_owned(), text.to_string());
    }
}

fn shown(key: &Key) -> String {
    let labels: Vec<_> = key.labels().map(|label| format!("{}={:?}", label.key(), label.value())).collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

impl Number {
    fn locked(&self) -> MutexGuard<'_, (f64, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CounterFn for Number {
    #[allow(clippy::cast_precision_loss, reason = "no test counts that far")]
    fn increment(&self, value: u64) {
        self.locked().0 += value as f64;
    }

    #[allow(clippy::cast_precision_loss, reason = "no test counts that far")]
    fn absolute(&self, value: u64) {
        self.locked().0 = value as f64;
    }
}

impl GaugeFn for Number {
    fn increment(&self, value: f64) {
        self.locked().0 += value;
    }

    fn decrement(&self, value: f64) {
        self.locked().0 -= value;
    }

    fn set(&self, value: f64) {
        self.locked().0 = value;
    }
}

impl HistogramFn for Number {
    fn record(&self, value: f64) {
        let mut number = self.locked();
        *number = (number.0 + value, number.1 + 1);
    }
}

impl Recorder for Numbers {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&name, &text);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&name, &text);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, text: SharedString) {
        self.describe(&name, &text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.register(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.register(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.register(key))
    }
}
