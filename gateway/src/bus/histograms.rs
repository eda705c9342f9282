//! How long the calls of a bus take, as Prometheus shows it.
//!
//! Decides what is measured. Written by the bus on Redis and by its lanes, read by `http/metrics`.

use prometheus_client::metrics::histogram::Histogram;

use crate::redis::seconds;

/// How long the calls of a bus take.
#[derive(Clone, Debug)]
pub struct Histograms {
    /// Seconds from when a group was handed to the bus until it was acknowledged, retries included. Groups that failed
    /// are not counted.
    pub append: Histogram,
    /// Seconds from when a write was sent until a second copy held it. Writes to a server without a replica are not
    /// counted.
    pub wait: Histogram,
}

impl Default for Histograms {
    fn default() -> Self {
        Self { append: seconds(), wait: seconds() }
    }
}
