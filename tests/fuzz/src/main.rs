//! libFuzzer's loop over the target that `PARLOR_FUZZ_TARGET` names.
//!
//! One program for all targets: building it with coverage takes minutes, choosing takes nothing.
#![no_main]

use std::sync::OnceLock;

use parlor_fuzz::Target;

static CHOSEN: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let chosen = CHOSEN.get_or_init(|| {
        let name = std::env::var("PARLOR_FUZZ_TARGET").unwrap_or_default();
        parlor_fuzz::target(&name).unwrap_or_else(|| panic!("PARLOR_FUZZ_TARGET must name a target, not `{name}`"))
    });
    (chosen.run)(data);
});
