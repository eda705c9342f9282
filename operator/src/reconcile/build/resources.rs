//! Requests and limits of containers, and what is assumed where a ChatRoom names none.
//!
//! A pod without requests is the first to be evicted and gets the least CPU. A Redis server without a memory limit could fill
//! its node, and would have no bound to refuse messages at.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity};

/// Memory limit of a Redis server whose ChatRoom names neither a limit nor a request.
const REDIS_MEMORY: &str = "1Gi";
/// The same, in bytes.
pub const REDIS_MEMORY_BYTES: u64 = 1 << 30;

/// Resources of a gateway's container.
pub fn gateway(wanted: Option<&ResourceRequirements>) -> ResourceRequirements {
    with_requests(wanted, "100m", "128Mi")
}

/// Resources of a Redis server's container. Its memory always has a limit: the one named, else the request, else 1 GiB.
pub fn redis(wanted: Option<&ResourceRequirements>) -> ResourceRequirements {
    let named = |map: Option<&BTreeMap<String, Quantity>>| map?.get("memory").cloned();
    let limit = named(wanted.and_then(|wanted| wanted.limits.as_ref()))
        .or_else(|| named(wanted.and_then(|wanted| wanted.requests.as_ref())))
        .unwrap_or_else(|| Quantity(REDIS_MEMORY.into()));
    let mut resources = with_requests(wanted, "100m", "256Mi");
    resources.limits.get_or_insert_default().insert("memory".into(), limit);
    resources
}

/// Bytes that a Redis server may use before its container is killed. `None` if the limit is no quantity, which the API server
/// refuses anyway.
pub fn redis_memory(wanted: Option<&ResourceRequirements>) -> Option<u64> {
    bytes(&redis(wanted).limits?.get("memory")?.0)
}

/// Adds a request where the ChatRoom names neither a request nor a limit, which would serve as one.
fn with_requests(wanted: Option<&ResourceRequirements>, cpu: &str, memory: &str) -> ResourceRequirements {
    let mut resources = wanted.cloned().unwrap_or_default();
    for (name, request) in [("cpu", cpu), ("memory", memory)] {
        let named = |map: &Option<BTreeMap<String, Quantity>>| map.as_ref().is_some_and(|map| map.contains_key(name));
        if !named(&resources.requests) && !named(&resources.limits) {
            resources.requests.get_or_insert_default().insert(name.into(), Quantity(request.into()));
        }
    }
    resources
}

/// Reads a Kubernetes quantity of bytes, such as `512Mi`, `1.5G`, `129e6` or `128974848`.
pub fn bytes(quantity: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 12] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("m", 1e-3),
        ("", 1.0),
    ];
    let (number, unit) = UNITS.iter().find_map(|(suffix, unit)| Some((quantity.strip_suffix(suffix)?, unit)))?;
    let bytes = number.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)? * unit;
    // Whole bytes of what fits into 64 bits.
    (bytes < 1e18).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantities(pairs: &[(&str, &str)]) -> Option<BTreeMap<String, Quantity>> {
        Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect())
    }

    #[test]
    fn quantities_of_every_notation_are_read() {
        for (text, expected) in [
            ("512Mi", 512 << 20),
            ("1Gi", 1 << 30),
            ("1.5G", 1_500_000_000),
            ("129e6", 129_000_000),
            ("128974848", 128_974_848),
            ("1000m", 1),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for text in ["", "512mb", "-1", "Mi", "1e40"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn pods_have_requests_though_the_chatroom_names_none() {
        assert_eq!(gateway(None).requests, quantities(&[("cpu", "100m"), ("memory", "128Mi")]));
        let redis = redis(None);
        assert_eq!(redis.requests, quantities(&[("cpu", "100m"), ("memory", "256Mi")]));
        assert_eq!(redis.limits, quantities(&[("memory", "1Gi")]));
    }

    #[test]
    fn what_the_chatroom_names_stays_and_bounds_the_memory() {
        let wanted = ResourceRequirements { limits: quantities(&[("memory", "48Mi")]), ..Default::default() };
        assert_eq!(redis(Some(&wanted)).requests, quantities(&[("cpu", "100m")]), "the limit serves as the request");
        assert_eq!(redis_memory(Some(&wanted)), Some(48 << 20));
        let wanted = ResourceRequirements { requests: quantities(&[("memory", "4Gi")]), ..Default::default() };
        assert_eq!(redis_memory(Some(&wanted)), Some(4 << 30), "the request serves as the limit");
    }
}
