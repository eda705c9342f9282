//! Which changes of a ChatRoom are refused, and what a gateway sees of one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use parlor_crds::{ChatRoom, load, validate_update};

fn with_spec(spec: &str) -> String {
    let spec: String = spec.lines().map(|l| format!("  {l}\n")).collect();
    format!("apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata:\n  name: a\nspec:\n{spec}")
}

#[test]
fn what_messages_depend_on_cannot_be_changed() {
    let room = |text: &str| load(&with_spec(text)).unwrap();
    let table = [
        ("{}", "redis: {external: {seeds: ['a:1']}}", "spec.redis cannot be changed to another kind"),
        ("redis: {managed: {}}", "redis: {managed: {storage: {}}}", "storage cannot be added or removed"),
        ("redis: {managed: {}}", "redis: {managed: {tls: {}}}", "tls cannot be added or removed"),
        ("redis: {managed: {tls: {}}}", "redis: {managed: {}}", "tls cannot be added or removed"),
        (
            "redis: {managed: {tls: {}}}",
            "redis: {managed: {tls: {secretName: own}}}",
            "tls.secretName cannot be changed",
        ),
        (
            "redis: {managed: {tls: {secretName: own}}}",
            "redis: {managed: {tls: {secretName: other}}}",
            "tls.secretName cannot be changed",
        ),
        (
            "redis: {managed: {storage: {size: 2Gi}}}",
            "redis: {managed: {storage: {size: 2047Mi}}}",
            "storage.size cannot shrink",
        ),
        (
            "redis: {managed: {storage: {}}}",
            "redis: {managed: {storage: {className: fast}}}",
            "storage.className cannot be changed",
        ),
        (
            "redis: {external: {seeds: ['a:1']}}",
            "redis: {external: {seeds: ['a:1'], keyPrefix: x}}",
            "keyPrefix cannot be changed",
        ),
    ];
    for (old, new, wanted) in table {
        let said = validate_update(&room(new), &room(old)).unwrap_err().to_string();
        assert!(said.contains(wanted), "{new}: {said}");
        validate_update(&room(new), &room(new)).unwrap();
    }
    validate_update(&room("redis: {managed: {image: 'redis:8', shards: 5}}"), &room("{}")).unwrap();
    let larger = room("redis: {managed: {storage: {size: 1Ti}}}");
    validate_update(&larger, &room("redis: {managed: {storage: {size: 1000Gi}}}")).unwrap();
}

#[test]
fn how_to_drain_is_seen_by_gateways_and_needs_no_new_ones() {
    let (before, after) = (load(&with_spec("{}")).unwrap(), load(&with_spec("drain: {rate: 500}")).unwrap());
    assert_ne!(before.gateway_view(), after.gateway_view());
    assert_eq!(before.gateway_identity(), after.gateway_identity());
}

#[test]
fn a_gateway_sees_nothing_of_the_fleet() {
    let room = |text: &str| -> ChatRoom { load(&with_spec(text)).unwrap() };
    let same = [
        "replicas: 7",
        "scaling: {max: 20}",
        "template: {image: x}",
        "suspend: true",
        "drain: {atOnce: 50, rebalance: true}",
        "service: {type: NodePort}",
        "redis: {managed: {image: x}}",
    ];
    for text in same {
        assert_eq!(room(text).gateway_view(), room("{}").gateway_view(), "{text}");
    }
    for text in [
        "limits: {rooms: 5}",
        "api: {tokensRef: {name: a}}",
        "route: {publicURL: 'http://x'}",
        "protocols: {native: {}}",
    ] {
        assert_ne!(room(text).gateway_view(), room("{}").gateway_view(), "{text}");
    }
    for text in ["{}", "redis: {memory: {}}\nreplicas: 1", "redis: {external: {seeds: ['a:1']}}"] {
        let view = room(text).gateway_view();
        assert_eq!(load(&serde_yaml::to_string(&view).unwrap()).unwrap(), view);
    }
}
