//! A sandbox Wix, the store conformance suite, fault injection and a manual clock.
