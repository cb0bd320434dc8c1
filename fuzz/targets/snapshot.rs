//! Hands libFuzzer's input to [`duet_fuzz::snapshot`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| duet_fuzz::snapshot(input));
