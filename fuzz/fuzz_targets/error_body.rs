//! See `error_body` in `tests/fuzzing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wix_visitor_fuzzing::target("error_body")(bytes));
