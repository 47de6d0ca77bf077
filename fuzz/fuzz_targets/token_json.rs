//! See `token_json` in `tests/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wix_visitor_fuzzing::target("token_json")(bytes));
