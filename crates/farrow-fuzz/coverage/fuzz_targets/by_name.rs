#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| farrow_fuzz::by_name(bytes));
