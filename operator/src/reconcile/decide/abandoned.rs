//! Which Redis pods are given up because their node does not answer (no client).
//!
//! Kubernetes tells the pods of a dead node to end, and then waits for their kubelet without end; a StatefulSet waits with it. A pod
//! without a volume is given up a minute after it should have ended: its data ends with it in any case, and a server that
//! still runs cut off serves nobody, because its shard elected another. A pod with a volume is not, because its server could
//! still write to the volume: there a person says that the node is out of service.

use k8s_openapi::{api::core::v1::Pod, jiff::SignedDuration};
use kube::ResourceExt;

use crate::reconcile::observed::Observed;

/// How long after its grace period a pod of a silent node is given up.
const OVERDUE: SignedDuration = SignedDuration::from_secs(60);

/// A pod whose node does not answer, and which should have ended long ago.
pub fn overdue(observed: &Observed) -> impl Iterator<Item = &Pod> {
    let has_ended_in_vain = |pod: &&Pod| {
        let should_end = pod.metadata.deletion_timestamp.as_ref();
        should_end.is_some_and(|time| observed.now.duration_since(time.0) >= OVERDUE)
            && observed.unreachable.contains(&pod.name_any())
    };
    observed.redis_pods.iter().filter(has_ended_in_vain)
}

/// The pods to give up.
pub fn abandoned(storage: bool, observed: &Observed) -> Vec<String> {
    if storage { Vec::new() } else { overdue(observed).map(ResourceExt::name_any).collect() }
}

/// What a person must know of a pod that is not given up.
pub fn held(storage: bool, observed: &Observed) -> Option<String> {
    let pod = overdue(observed).next().filter(|_| storage)?;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    Some(format!(
        "{}: node {node} does not answer and may still use the volume; if it is off, taint it with \
         node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
        pod.name_any()
    ))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    use super::*;

    fn observed(seconds: i64) -> Observed {
        let mut pod = Pod::default();
        pod.metadata.name = Some("redis-2".into());
        pod.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        Observed { now, redis_pods: vec![pod], unreachable: ["redis-2".to_owned()].into(), ..Observed::default() }
    }

    #[test]
    fn a_pod_of_a_silent_node_is_given_up_a_minute_after_it_should_have_ended() {
        assert_eq!(abandoned(false, &observed(59)), Vec::<String>::new());
        assert_eq!(abandoned(false, &observed(60)), ["redis-2"]);
        let reachable = Observed { unreachable: Default::default(), ..observed(600) };
        assert_eq!(abandoned(false, &reachable), Vec::<String>::new(), "its kubelet will end it");
    }

    #[test]
    fn a_pod_with_a_volume_is_never_given_up_and_the_condition_says_what_to_do() {
        assert_eq!(abandoned(true, &observed(600)), Vec::<String>::new());
        assert!(held(true, &observed(600)).unwrap().contains("out-of-service"));
        assert_eq!(held(false, &observed(600)), None);
    }
}
