//! Every duration that another one depends on, in one table, with the order that must hold between them.
//!
//! A duration that nothing else depends on stays beside the code that uses it.

use std::time::Duration;

use parlor_crds::contract;

/// One exchange with a gateway's admin port. A healthy gateway answers within milliseconds.
pub const GATEWAY_EXCHANGE: Duration = Duration::from_secs(2);
/// One request to the API server.
pub const API_REQUEST: Duration = Duration::from_secs(10);
/// A whole pass. Each exchange in it has a shorter deadline, so a longer pass is stuck.
pub const PASS: Duration = Duration::from_secs(120);
/// Longest pause after failures in a row.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A leading process in which no pass has ended for so long is not alive.
pub const STALLED: Duration = Duration::from_secs(270);

/// Between passes over a ChatRoom at rest: as often as gateways are asked for their load.
pub const AT_REST: Duration = Duration::from_secs(5);
/// Between passes while something is under way.
pub const UNDER_WAY: Duration = Duration::from_secs(1);
/// Longest time without a load sample that does not restart the observation.
pub const LONGEST_SAMPLE_GAP: Duration = Duration::from_secs(60);

/// How long a lease lasts: how long ChatRooms wait after their leader died.
pub const LEASE: Duration = Duration::from_secs(15);
/// A leader ends itself when its last successful renewal began so long ago.
pub const LEASE_RENEWED_WITHIN: Duration = Duration::from_secs(10);
/// Between two renewals.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(4);

/// A drained gateway may be removed this long after its drain began: by then no endpoint sends it new connections.
pub const ACCEPTS_WHILE_DRAINING: Duration = Duration::from_secs(6);
/// A terminating gateway that has not begun to drain after so long never received its signal.
pub const SIGNAL_MISSED_AFTER: Duration = Duration::from_secs(30);

const _: () = assert!(LEASE_RENEWAL.as_millis() * 2 < LEASE_RENEWED_WITHIN.as_millis(), "one renewal may fail");
const _: () = assert!(
    LEASE_RENEWED_WITHIN.as_secs() + 1 < LEASE.as_secs(),
    "a leader has ended before another can begin, also when its clock runs 5 % slow"
);
const _: () = assert!(GATEWAY_EXCHANGE.as_secs() < AT_REST.as_secs(), "a silent gateway delays no later pass");
const _: () = assert!(API_REQUEST.as_secs() < PASS.as_secs());
const _: () =
    assert!(PASS.as_secs() + LONGEST_PAUSE.as_secs() < STALLED.as_secs(), "the slowest allowed pass is alive");
const _: () = assert!(AT_REST.as_secs() * 3 < LONGEST_SAMPLE_GAP.as_secs(), "several samples may fail in a row");
const _: () = assert!(
    ACCEPTS_WHILE_DRAINING.as_secs() > contract::ENDPOINTS_CATCH_UP.as_secs(),
    "a gateway that still accepts connections is not empty"
);
const _: () = assert!(SIGNAL_MISSED_AFTER.as_secs() > ACCEPTS_WHILE_DRAINING.as_secs());
