//! What a gateway says to files: the examples load, and each kind of mistake is refused with the field's path.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use parlor_crds::{
    ChatRoomSpec, ManifestError, Period,
    chatroom::{Protocols, RedisMode, Size},
    load, validate,
};

fn with_spec(spec: &str) -> String {
    let spec: String = spec.lines().map(|l| format!("  {l}\n")).collect();
    format!("apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata:\n  name: a\nspec:\n{spec}")
}

fn spec(text: &str) -> ChatRoomSpec {
    load(&with_spec(text)).unwrap().spec
}

fn refusal(text: &str) -> String {
    load(text).unwrap_err().to_string()
}

#[test]
fn every_example_loads() {
    let mut seen = Vec::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let room = load(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        validate(&room).unwrap();
        seen.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    seen.sort();
    let known = [
        "external-redis",
        "gateway-api",
        "ingress",
        "lobby",
        "login",
        "minimal",
        "moderation",
        "protocols",
        "scaling",
        "storage",
    ];
    assert_eq!(seen, known);
}

#[test]
fn keys_that_are_no_text_are_refused_where_they_are() {
    assert_eq!(refusal(&with_spec("limits: {[3]: 4}")), "spec.limits: must have text as keys");
    assert_eq!(refusal("? null\n: 5\n"), "the document: must have text as keys");
}

#[test]
fn an_empty_spec_means_everything_usual() {
    let spec = spec("{}");
    assert_eq!(spec, ChatRoomSpec::default());
    assert_eq!(spec.served(), Protocols::all());
    let paths: Vec<_> = spec.served().endpoints().iter().map(|e| (e.protocol, e.path.to_owned(), e.port)).collect();
    let all = [
        ("native", "/chat"),
        ("onlyone", "/onlyone"),
        ("relay", "/room"),
        ("match", "/ws"),
        ("multiperson", "/multiperson"),
    ];
    assert_eq!(paths, all.map(|(name, path)| (name, path.to_owned(), None)));
    assert!(matches!(spec.redis.mode(), RedisMode::Managed(m) if (m.shards, m.replicas_per_shard) == (3, 1)));
    assert!(matches!(spec.size(), Size::Scaled(s) if (s.min, s.max) == (2, 10)));
    assert_eq!(spec.target_connections(), 10_000);
    assert_eq!(spec.drain.deadline, Period::from_secs(600));
}

#[test]
fn protocols_that_are_not_named_are_not_served() {
    let spec = spec("protocols: {native: {}, onlyone: {port: 9090}}");
    let served = spec.served();
    let names: Vec<_> = served.endpoints().iter().map(|e| (e.protocol, e.port)).collect();
    assert_eq!(names, [("native", None), ("onlyone", Some(9090))]);
}

#[test]
fn null_means_absent() {
    assert_eq!(spec("replicas: null\nlimits: {rooms: null}\nroute: null"), ChatRoomSpec::default());
}

#[test]
fn each_mistake_names_its_field() {
    let table = [
        ("colour: red", "spec.colour: unknown field"),
        ("limits: {colour: red}", "spec.limits.colour: unknown field"),
        ("limits: {messageBytes: 127}", "spec.limits.messageBytes: must be at least 128, not 127"),
        ("limits: {messageBytes: 1048577}", "spec.limits.messageBytes: must be at most 1048576, not 1048577"),
        ("limits: {messageBytes: lots}", "spec.limits.messageBytes: must be of type integer, not \"lots\""),
        ("limits: {rooms: 1.5}", "spec.limits.rooms: must be of type integer"),
        ("limits: {newRoomsPerMinute: 0}", "spec.limits.newRoomsPerMinute: must be at least 1"),
        ("limits: {proxyProtocolFrom: [10.0.0.1]}", "spec.limits.proxyProtocolFrom[0]: must match"),
        ("limits: {proxyProtocolFrom: [10.0.0.256/8]}", "spec.limits.proxyProtocolFrom[0]: must match"),
        ("limits: {proxyProtocolFrom: ['::::/8']}", "spec.limits.proxyProtocolFrom[0]: must match"),
        ("limits: {slowConsumer: Wait}", "spec.limits.slowConsumer: must be one of \"Disconnect\", \"SkipToLatest\""),
        ("limits: []", "spec.limits: must be of type object"),
        ("replicas: 0", "spec.replicas: must be at least 1, not 0"),
        ("history: {age: 5 minutes}", "spec.history.age: must match"),
        ("history: {age: 0s}", "spec.history.age: spec.history.age must be 1s to 8760h"),
        ("drain: {deadline: 2h}", "spec.drain.deadline: spec.drain.deadline must be 1s to 1h"),
        ("drain: {atOnce: 0}", "spec.drain.atOnce: must be at least 1"),
        ("drain: {rebalance: sometimes}", "spec.drain.rebalance: must be of type boolean"),
        ("drain: {rate: 1}", "spec.drain.rate times spec.drain.deadline"),
        ("redis: {}", "spec.redis must name exactly one of managed, external and memory"),
        ("redis: {managed: {}, external: {seeds: ['a:1']}}", "spec.redis must name exactly one"),
        ("redis: {managed: {shards: 2}}", "spec.redis.managed.shards: must be at least 3"),
        (
            "redis: {managed: {template: {podLabels: {parlor.chat/x: y}}}}",
            "spec.redis.managed.template.podLabels must not have keys",
        ),
        (
            "redis: {managed: {template: {podAnnotations: {parlor.chat/x: y}}}}",
            "spec.redis.managed.template.podAnnotations must not have keys",
        ),
        (
            "redis: {managed: {template: {env: [{name: POD_IP, value: x}]}}}",
            "spec.redis.managed.template.env must not set POD_NAME or POD_IP",
        ),
        (
            "redis: {managed: {template: {securityContext: {runAsUser: 0}}}}",
            "spec.redis.managed.template.securityContext must not ask for root",
        ),
        ("redis: {external: {}}", "spec.redis.external.seeds: is required"),
        ("redis: {external: {seeds: []}}", "spec.redis.external.seeds: must have at least 1 items"),
        ("redis: {external: {seeds: ['a']}}", "spec.redis.external.seeds[0]: must"),
        ("redis: {external: {seeds: ['a:1', 'a:1']}}", "spec.redis.external.seeds[1]: is there twice"),
        ("redis: {memory: {}}", "spec.replicas must be 1 with spec.redis.memory"),
        ("redis: {memory: {}}\nreplicas: 3", "spec.replicas must be 1 with spec.redis.memory"),
        ("replicas: 3\nscaling: {}", "spec.replicas and spec.scaling exclude each other"),
        ("scaling: {min: 5, max: 4}", "spec.scaling: spec.scaling.min must not be above spec.scaling.max"),
        ("scaling: {scaleDownAfter: soon}", "spec.scaling.scaleDownAfter: must match"),
        ("scaling: {connectionsPerGateway: 20000}", "spec.scaling.connectionsPerGateway must not be above"),
        ("protocols: {}", "spec.protocols must name at least one protocol"),
        ("protocols: {irc: {}}", "spec.protocols.irc: unknown field"),
        ("protocols: {native: {path: chat}}", "spec.protocols.native.path: must match"),
        ("protocols: {native: {path: /chat.html}}", "spec.protocols.native.path: must match"),
        ("protocols: {native: {path: /msg}}", "spec.protocols.native.path: path is one that gateways use"),
        ("protocols: {native: {path: /ws/login}}", "spec.protocols.native.path: path is one that gateways use"),
        ("protocols: {native: {port: 80}}", "spec.protocols.native.port: must be at least 1024"),
        ("protocols: {native: {port: 8080}}", "spec.protocols.native.port: port is one that gateways use"),
        ("protocols: {relay: {port: 9100}}", "spec.protocols.relay.port: port is one that gateways use"),
        (
            "protocols: {native: {port: 9090}, onlyone: {port: 9090}}",
            "spec.protocols: spec.protocols.native.port and spec.protocols.onlyone.port must differ",
        ),
        (
            "protocols: {multiperson: {port: 7000, httpPort: 7000}}",
            "spec.protocols.multiperson.port and spec.protocols.multiperson.httpPort must differ",
        ),
        (
            "protocols: {native: {path: /a}, match: {path: /a}}",
            "spec.protocols.native.path and spec.protocols.match.path must differ",
        ),
        (
            "protocols: {native: {hosts: [a.b]}, match: {hosts: [c.d, a.b]}}",
            "spec.protocols.native.hosts and spec.protocols.match.hosts must not share a host",
        ),
        ("api: {}", "spec.api.tokensRef: is required"),
        ("api: {tokensRef: {name: A}}", "spec.api.tokensRef.name: must match"),
        ("api: {port: 80, tokensRef: {name: a}}", "spec.api.port: must be at least 1024"),
        ("api: {port: 8080, tokensRef: {name: a}}", "spec.api.port: port is one that gateways use"),
        (
            "api: {tokensRef: {name: a}}\nprotocols: {match: {port: 9200}}",
            "spec.api.port must not be the port of a protocol",
        ),
        (
            "api: {tokensRef: {name: a}}\nprotocols: {multiperson: {httpPort: 9200}}",
            "spec.api.port must not be the port of a protocol",
        ),
        ("protocols: {onlyone: {rooms: []}}", "spec.protocols.onlyone.rooms: must have at least 1"),
        ("protocols: {match: {reconnectGrace: 2h}}", "spec.protocols.match.reconnectGrace must be at most 1h"),
        (
            "protocols: {onlyone: {token: {secretRef: {name: x}}}}",
            "spec.protocols.onlyone.token.secretRef.key: is required",
        ),
        ("route: {hosts: [a.b]}", "spec.route.hosts needs one of"),
        ("route: {hosts: [a_b], ingressClassName: x}", "spec.route.hosts[0]: must match"),
        (
            "route: {hosts: [a.b], ingressClassName: x, gateway: {name: y}}",
            "spec.route.gateway and spec.route.ingressClassName",
        ),
        ("route: {hosts: [a.b], gateway: {name: y}, tlsSecretName: z}", "spec.route.tlsSecretName needs"),
        ("route: {publicURL: 'ftp://x'}", "spec.route.publicURL: must match"),
        ("service: {type: ExternalName}", "spec.service.type: must be one of"),
        ("auth: {jwt: {}}", "spec.auth.jwt.keys: is required"),
        ("auth: {jwt: {keys: {}}}", "spec.auth.jwt.keys must name exactly one of secretRef, jwksRef and jwksURL"),
        (
            "auth: {jwt: {keys: {secretRef: {name: a, key: b}, jwksRef: {name: a, key: b}}}}",
            "spec.auth.jwt.keys must name exactly one of",
        ),
        ("auth: {jwt: {keys: {jwksURL: 'http://a.b/jwks'}}}", "spec.auth.jwt.keys.jwksURL must be https, except on"),
        ("auth: {jwt: {keys: {jwksURL: 'http://127.0.0.1.evil.example/'}}}", "jwksURL must be https, except on"),
        ("auth: {jwt: {keys: {jwksURL: 'http://localhost.evil.example/'}}}", "jwksURL must be https, except on"),
        ("auth: {jwt: {keys: {jwksURL: 'http://localhost@evil.example/'}}}", "spec.auth.jwt.keys.jwksURL: must match"),
        ("auth: {jwt: {keys: {jwksURL: 'ftp://a.b/jwks'}}}", "spec.auth.jwt.keys.jwksURL: must match"),
        (
            "auth: {jwt: {issuer: '', keys: {secretRef: {name: a, key: b}}}}",
            "spec.auth.jwt.issuer: must have at least 1",
        ),
        (
            "auth: {jwt: {keys: {secretRef: {name: a, key: b}}}}\nprotocols: {relay: {}}",
            "spec.auth.jwt needs spec.protocols.native",
        ),
        ("auth: {anonymous: false}", "spec.protocols must name the protocols with spec.auth.anonymous false"),
        (
            "auth: {anonymous: false}\nprotocols: {native: {}, match: {}}",
            "spec.protocols.match must be absent with spec.auth.anonymous false",
        ),
        (
            "auth: {anonymous: false}\nprotocols: {native: {}, multiperson: {}}",
            "spec.protocols.multiperson must be absent with spec.auth.anonymous false",
        ),
        (
            "auth: {anonymous: false}\nprotocols: {native: {}, onlyone: {}}",
            "spec.protocols.onlyone must have a token with spec.auth.anonymous false",
        ),
        (
            "auth: {anonymous: false}\nprotocols: {relay: {issueTokens: true}}",
            "spec.protocols.relay.issueTokens must not be true with spec.auth.anonymous false",
        ),
        ("moderation: {}", "spec.moderation must name words, webhook or both"),
        ("moderation: {words: {}}", "spec.moderation.words.configMapRef: is required"),
        (
            "moderation: {webhook: {url: 'http://a.b/', secretRef: {name: a, key: b}}}",
            "spec.moderation.webhook.url must be https, except on",
        ),
        (
            "moderation: {webhook: {url: 'http://a.b.svc.evil.example/', secretRef: {name: a, key: b}}}",
            "webhook.url must be https, except on",
        ),
        ("moderation: {webhook: {url: 'https://a.b'}}", "spec.moderation.webhook.secretRef: is required"),
        (
            "moderation: {webhook: {url: 'https://a.b', timeout: 1m, secretRef: {name: a, key: b}}}",
            "spec.moderation.webhook.timeout: must match",
        ),
        (
            "moderation: {webhook: {url: 'https://a.b', timeout: 11s, secretRef: {name: a, key: b}}}",
            "spec.moderation.webhook.timeout must be 10ms to 10s",
        ),
        (
            "moderation: {webhook: {url: 'https://a.b', onFailure: Hope, secretRef: {name: a, key: b}}}",
            "spec.moderation.webhook.onFailure: must be one of",
        ),
        (
            "moderation: {words: {configMapRef: {name: a, key: b}}, webhook: {url: 'https://a.b', secretRef: {name: a, key: b}}}",
            "spec.moderation.words.configMapRef and spec.moderation.webhook.secretRef must differ",
        ),
        ("template: {nodeSelector: {a: 1}}", "spec.template.nodeSelector.a: must be of type string"),
        (
            "template: {resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}}",
            "spec.template.resources: spec.template.resources.requests.cpu must not be above spec.template.resources.limits.cpu",
        ),
        (
            "redis: {managed: {resources: {requests: {memory: 1Gi}, limits: {memory: 1G}}}}",
            "spec.redis.managed.resources.requests.memory must not be above",
        ),
        ("template: {tolerations: [{colour: red}]}", "spec.template.tolerations[0].colour: unknown field"),
    ];
    for (spec, wanted) in table {
        let said = refusal(&with_spec(spec));
        assert!(said.contains(wanted), "{spec}\n  wanted: {wanted}\n  said:   {said}");
    }
}

#[test]
fn keys_of_tokens_may_be_fetched_over_tls_and_from_this_machine() {
    let addresses = [
        "https://login.example.com/.well-known/jwks.json",
        "https://login.example.com",
        "http://localhost:3000/jwks",
        "http://127.0.0.1:3000/jwks?a=b",
        "http://[::1]:3000/jwks",
    ];
    for address in addresses {
        let spec = spec(&format!("auth: {{jwt: {{keys: {{jwksURL: '{address}'}}}}}}"));
        assert_eq!(spec.auth.jwt.unwrap().keys.jwks_url.as_deref(), Some(address));
    }
}

#[test]
fn protocols_with_a_credential_are_served_without_anonymous_people() {
    let served = "auth: {anonymous: false}\nprotocols: {native: {}, relay: {}, onlyone: {token: {secretRef: {name: a, key: b}}}}";
    assert_eq!(spec(served).served().endpoints().len(), 3);
}

#[test]
fn the_name_is_short_and_fit_for_a_service() {
    let named = |name: &str| with_spec("{}").replace("name: a", &format!("name: {name}"));
    assert!(load(&named(&"a".repeat(40))).is_ok());
    assert!(
        refusal("apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nspec: {}").starts_with("metadata.name: must be")
    );
    assert!(refusal(&named(&"a".repeat(41))).starts_with("metadata.name must be at most 40 characters"));
    assert!(refusal(&named("a.b")).contains("metadata.name must be lower case letters"));
}

#[test]
fn a_file_that_is_something_else_says_so() {
    assert!(refusal("kind: ChatRoom").starts_with("apiVersion: must be parlor.chat/v1alpha1, not absent"));
    assert!(refusal("apiVersion: parlor.chat/v1alpha1\nkind: Pod").starts_with("kind: must be ChatRoom, not Pod"));
    assert!(
        refusal("apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata: {name: a}")
            .starts_with("spec: is required")
    );
    assert!(refusal("").starts_with("holds 0 documents"));
    assert!(refusal("a: 1\n---\nb: 2").starts_with("holds 2 documents"));
    assert!(refusal("a: [").starts_with("not readable as YAML"));
    assert!(refusal(&with_spec("replicas: 1\nreplicas: 2")).contains("duplicate"));
    assert!(matches!(load(&" ".repeat(2 << 20)), Err(ManifestError::TooLarge)));
}

#[test]
fn every_network_that_the_schema_takes_is_one() {
    for network in
        ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.255/32", "::/0", "2001:db8::/32", "::1/128", "1:2:3:4:5:6:7:8/64"]
    {
        let spec = spec(&format!("limits: {{proxyProtocolFrom: ['{network}']}}"));
        assert_eq!(spec.limits.proxy_protocol_from, [network]);
        let (address, prefix) = network.split_once('/').unwrap();
        assert!(address.parse::<std::net::IpAddr>().is_ok() && prefix.parse::<u8>().is_ok());
    }
}
