//! Hands libFuzzer's input to [`duet_fuzz::capsule`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| duet_fuzz::capsule(input));
