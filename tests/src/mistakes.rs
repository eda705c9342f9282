//! Manifests with one mistake each, and the field that the refusal must name.
//!
//! The API server and `parlor-gateway` are both held to this one table.

/// A `spec` in YAML's flow form, and what the refusal must contain.
#[derive(Clone, Copy, Debug)]
pub struct Mistake {
    /// For people.
    pub what: &'static str,
    pub spec: &'static str,
    /// The field, or the whole sentence where a rule says it.
    pub says: &'static str,
}

impl Mistake {
    /// The whole manifest.
    pub fn manifest(&self) -> String {
        let Self { spec, .. } = self;
        format!("apiVersion: parlor.chat/v1alpha1\nkind: ChatRoom\nmetadata: {{name: mistake}}\nspec: {spec}\n")
    }
}

/// One of each kind.
pub const MISTAKES: &[Mistake] = &[
    Mistake { what: "an unknown field", spec: "{colour: red}", says: "spec.colour" },
    Mistake { what: "an unknown field further down", spec: "{limits: {colour: red}}", says: "spec.limits.colour" },
    Mistake {
        what: "two kinds of Redis",
        spec: "{redis: {managed: {}, external: {seeds: ['a:1']}}}",
        says: "spec.redis must name exactly one of managed, external and memory",
    },
    Mistake {
        what: "a fixed size and scaling",
        spec: "{replicas: 3, scaling: {}}",
        says: "spec.replicas and spec.scaling exclude each other: remove one",
    },
    Mistake {
        what: "three gateways that share nothing",
        spec: "{redis: {memory: {}}, replicas: 3}",
        says: "spec.replicas must be 1 with spec.redis.memory",
    },
    Mistake {
        what: "fewest above most",
        spec: "{scaling: {min: 5, max: 4}}",
        says: "spec.scaling.min must not be above spec.scaling.max",
    },
    Mistake { what: "a duration in words", spec: "{history: {age: 5 minutes}}", says: "spec.history.age" },
    Mistake { what: "too long a drain", spec: "{drain: {deadline: 2h}}", says: "spec.drain.deadline must be 1s to 1h" },
    Mistake {
        what: "a drain that cannot empty a gateway",
        spec: "{drain: {rate: 1}}",
        says: "spec.drain.rate times spec.drain.deadline",
    },
    Mistake {
        what: "two protocols on one port",
        spec: "{protocols: {native: {port: 9090}, onlyone: {port: 9090}}}",
        says: "spec.protocols.native.port and spec.protocols.onlyone.port must differ",
    },
    Mistake {
        what: "two protocols on one path",
        spec: "{protocols: {native: {path: /x}, onlyone: {path: /x}}}",
        says: "spec.protocols.native.path and spec.protocols.onlyone.path must differ",
    },
    Mistake {
        what: "two protocols on one host",
        spec: "{protocols: {native: {hosts: [a.b]}, onlyone: {hosts: [a.b]}}}",
        says: "spec.protocols.native.hosts and spec.protocols.onlyone.hosts must not share a host",
    },
    Mistake { what: "the admin port", spec: "{protocols: {native: {port: 9100}}}", says: "spec.protocols.native.port" },
    Mistake { what: "a path in use", spec: "{protocols: {native: {path: /msg}}}", says: "spec.protocols.native.path" },
    Mistake { what: "a number too small", spec: "{limits: {messageBytes: 127}}", says: "spec.limits.messageBytes" },
    Mistake { what: "a word for a number", spec: "{limits: {rooms: many}}", says: "spec.limits.rooms" },
    Mistake { what: "an unknown choice", spec: "{limits: {slowConsumer: Wait}}", says: "spec.limits.slowConsumer" },
    Mistake { what: "no gateways", spec: "{replicas: 0}", says: "spec.replicas" },
    Mistake {
        what: "a seed twice",
        spec: "{redis: {external: {seeds: ['a:1', 'a:1']}}}",
        says: "spec.redis.external.seeds[1]",
    },
    Mistake { what: "a seed missing", spec: "{redis: {external: {}}}", says: "spec.redis.external.seeds" },
    Mistake {
        what: "a request above its limit",
        spec: "{template: {resources: {requests: {cpu: 2}, limits: {cpu: 1500m}}}}",
        says: "spec.template.resources.requests.cpu must not be above spec.template.resources.limits.cpu",
    },
    Mistake { what: "a host without a way in", spec: "{route: {hosts: [a.b]}}", says: "spec.route.hosts needs one of" },
    Mistake {
        what: "a provider whose tokens nobody takes",
        spec: "{page: {openid: {issuer: 'https://login.example.com', clientId: parlor}}}",
        says: "spec.page.openid needs spec.auth.jwt",
    },
    Mistake {
        what: "two ways to sign in",
        spec: "{page: {loginURL: 'https://login.example.com/', openid: {issuer: 'https://login.example.com', clientId: parlor}}}",
        says: "spec.page.loginURL and spec.page.openid exclude each other",
    },
    Mistake {
        what: "a provider without TLS",
        spec: "{page: {openid: {issuer: 'http://login.example.com', clientId: parlor}}}",
        says: "spec.page.openid.issuer",
    },
];
