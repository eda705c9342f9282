//! The part of a ChatRoom that gateways use.

use kube::core::ObjectMeta;

use super::{ChatRoom, ChatRoomSpec, Drain, ManagedRedis, ManagedTls, Route};

impl ChatRoom {
    /// The part of [`ChatRoom::gateway_view`] that a gateway reads once, when it starts: a change in it needs new
    /// gateways. The rest, `drain`, is read again when a drain begins.
    pub fn gateway_identity(&self) -> Self {
        let mut view = self.gateway_view();
        view.spec.drain = Drain::default();
        view
    }

    /// The name that the servers of a managed Redis go by when they speak TLS, whatever their addresses.
    pub fn redis_server_name(&self) -> String {
        let namespace = self.metadata.namespace.as_deref().unwrap_or("default");
        format!("{}-redis.{namespace}", self.metadata.name.as_deref().unwrap_or_default())
    }

    /// The ChatRoom reduced to what gateways use: two ChatRooms with the same view can share a gateway, so a change
    /// outside it restarts no one.
    pub fn gateway_view(&self) -> Self {
        let ChatRoomSpec {
            protocols,
            history,
            limits,
            auth,
            api,
            moderation,
            page,
            replicas: _,
            scaling: _,
            drain,
            redis,
            route,
            service: _,
            template: _,
            suspend: _,
        } = self.spec.clone();
        let mut view = Self {
            metadata: ObjectMeta {
                name: self.metadata.name.clone(),
                namespace: self.metadata.namespace.clone(),
                ..ObjectMeta::default()
            },
            spec: ChatRoomSpec {
                protocols,
                history,
                limits,
                auth,
                api,
                moderation,
                page,
                drain: drain.of_a_gateway(),
                redis,
                ..ChatRoomSpec::default()
            },
            status: None,
        };
        let tls = |managed: &ManagedRedis| managed.tls.as_ref().map(|_| ManagedTls::default());
        view.spec.redis.managed =
            view.spec.redis.managed.map(|managed| ManagedRedis { tls: tls(&managed), ..ManagedRedis::default() });
        // A ChatRoom in memory has one gateway, and a manifest that says otherwise is refused.
        view.spec.replicas = view.spec.redis.memory.is_some().then_some(1);
        view.spec.route =
            route.and_then(|r| r.public_url).map(|url| Route { public_url: Some(url), ..Route::default() });
        view
    }
}
