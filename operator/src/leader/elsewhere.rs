//! Whether an operator of another namespace leads all ChatRooms already.
//!
//! Releases in two namespaces have a lease each. If both watch every namespace, the second must not begin: each would replace
//! what the other makes. Whether a lease is alive is decided by the elapsed time of this process alone, as for the own lease.
//! Called by `leader`.

use std::{collections::BTreeMap, time::Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::{LOOK_EVERY, NAME, record::Record};
use crate::api_error::ApiError;

/// The leases of operators for all namespaces, but for the one in the own namespace.
pub struct Elsewhere {
    api: Api<Lease>,
    namespace: String,
    seen: BTreeMap<String, Record>,
    /// What was logged last.
    said: Option<String>,
}

impl Elsewhere {
    /// For an operator whose lease is in `namespace`.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::all(client), namespace: namespace.to_owned(), seen: BTreeMap::new(), said: None }
    }

    /// Whether another leads. An operator that may not look, or gets no answer, does not wait for that.
    pub(super) async fn is_led(&mut self) -> bool {
        let fields = ListParams::default().fields(&format!("metadata.name={NAME}"));
        let listed = match tokio::time::timeout(LOOK_EVERY, self.api.list(&fields)).await {
            Ok(listed) => listed.map_err(|error| ApiError::from(error).to_string()),
            Err(_) => Err("no answer in time".into()),
        };
        let found = listed.map(|leases| self.living(leases.items, Instant::now()));
        let (is_led, news) = match &found {
            Ok(None) => (false, None),
            Ok(Some(namespace)) => (
                true,
                Some(format!("an operator in namespace {namespace} leads every ChatRoom; waiting until it is gone")),
            ),
            Err(error) => (false, Some(format!("failed to look for operators in other namespaces: {error}"))),
        };
        if let Some(news) = news.as_ref().filter(|news| self.said.as_ref() != Some(news)) {
            tracing::warn!("{news}");
        }
        self.said = news;
        is_led
    }

    /// A namespace whose operator lives. Every lease is looked at: each is watched for as long as it lasts.
    fn living(&mut self, leases: Vec<Lease>, now: Instant) -> Option<String> {
        let others = leases.into_iter().filter(|lease| lease.namespace().as_ref() != Some(&self.namespace));
        let mut living = None;
        for lease in others {
            let namespace = lease.namespace().unwrap_or_default();
            let record = self.seen.entry(namespace.clone()).or_default();
            if !record.may_take(&lease.spec.unwrap_or_default(), "", now) {
                living = Some(namespace);
            }
        }
        living
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::coordination::v1::LeaseSpec;

    use super::*;

    fn lease(namespace: &str, holder: &str) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.namespace = Some(namespace.into());
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        });
        lease
    }

    #[tokio::test]
    async fn an_operator_elsewhere_counts_until_its_lease_is_given_back_or_unchanged_for_its_duration() {
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let mut elsewhere = Elsewhere::new(Client::try_from(config).unwrap(), "here");
        let start = Instant::now();
        let mut living =
            |leases: &[Lease], seconds| elsewhere.living(leases.to_vec(), start + Duration::from_secs(seconds));
        assert_eq!(living(&[lease("here", "me")], 0), None, "its own lease is no other");
        assert_eq!(living(&[lease("there", "x")], 1).as_deref(), Some("there"));
        assert_eq!(living(&[lease("there", "x")], 15).as_deref(), Some("there"));
        assert_eq!(living(&[lease("there", "x")], 16), None, "nobody has renewed it");
        assert_eq!(living(&[lease("there", "y")], 17).as_deref(), Some("there"));
        assert_eq!(living(&[lease("there", "")], 18), None, "it was given back");
    }
}
