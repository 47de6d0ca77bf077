//! The least that finding a visitor by its key can cost.

use std::sync::Arc;

use foldhash::fast::RandomState;
use papaya::HashMap;

/// A concurrent map made for reading, with the key and the hasher of the one in core, and none of what makes that one a
/// cache: nothing is counted, nothing ever goes.
///
/// Not core's own map in its bare form: whatever that costs over a plain map is part of what is measured.
#[derive(Debug)]
pub struct BareMap(HashMap<Box<str>, Arc<Value>, RandomState>);

/// As large as what is kept of a visitor, and made like it: with a text of its own, so that it lies as far from its key. Among
/// a million, waiting for memory is most of a look-up.
#[derive(Debug)]
pub struct Value {
    _text: String,
    _rest: [u64; 40],
}

impl BareMap {
    /// A value for each of these keys.
    pub fn new(keys: &[String]) -> Self {
        let map = HashMap::with_capacity_and_hasher(keys.len(), RandomState::default());
        for key in keys {
            let name: Box<str> = key.as_str().into();
            let text = format!("{key:0>101}");
            map.pin().insert(name, Arc::new(Value { _text: text, _rest: [0; 40] }));
        }
        Self(map)
    }

    /// A handle to the value of this key.
    pub fn get(&self, key: &str) -> Option<Arc<Value>> {
        self.0.pin().get(key).map(Arc::clone)
    }
}
