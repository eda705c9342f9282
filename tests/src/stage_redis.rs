//! What tests ask of the managed Redis on a stage.

use anyhow::{Context, Result};
use k8s_openapi::{
    api::core::v1::{Pod, Secret},
    jiff::Timestamp,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use parlor_crds::ChatRoom;
use parlor_operator::redis::{access::Access, client, passwords::Passwords, tls::Tls, view::View};
use serde_json::json;

use crate::stage::{Stage, message, missing};

impl Stage {
    /// A value of the generated Secret.
    pub async fn key(&self, key: &str) -> Result<Option<String>> {
        let secret = self.api::<Secret>().get("lobby-keys").await.context("read the Secret")?;
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        value.map(|value| String::from_utf8(value.0.clone()).context("a value that is no text")).transpose()
    }

    /// The same, of a key that must be there.
    pub async fn present_key(&self, key: &str) -> Result<String> {
        self.key(key).await?.with_context(|| format!("no {key} in the Secret"))
    }

    /// Addresses of the Redis pods.
    pub async fn redis_ips(&self) -> Result<Vec<String>> {
        let pods = self.pods("redis").await?;
        Ok(pods.into_iter().filter_map(|pod| pod.status?.pod_ip).collect())
    }

    /// Ends a pod at once; its set makes another.
    pub async fn end(&self, pod: &Pod) -> Result<()> {
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api::<Pod>().delete(&pod.name_any(), &at_once).await.context("delete a pod")?;
        Ok(())
    }

    /// What the servers say that can be spoken to like this.
    pub async fn views(&self, access: &Access) -> Result<Vec<View>> {
        let ips = self.redis_ips().await?;
        let answers = futures::future::join_all(ips.iter().map(|ip| client::view(ip, access))).await;
        Ok(answers.into_iter().flatten().collect())
    }

    /// How many servers let this password in.
    pub async fn let_in(&self, password: &str) -> Result<usize> {
        Ok(self.views(&Access::plain(Passwords::settled(password))).await?.len())
    }

    /// How servers are spoken to that have the newest certificate.
    pub async fn secured(&self) -> Result<Access> {
        let name = self.room().await?.redis_server_name();
        let mut tls = Tls::trusting(self.present_key("redis-ca.crt").await?.as_bytes(), &name)?;
        tls.expecting(self.present_key("redis-tls.crt").await?.as_bytes(), Timestamp::now())?;
        let passwords = Passwords::settled(&self.present_key("redis-password").await?);
        Ok(Access { passwords: Some(passwords), tls: Some(tls) })
    }

    /// Asks for another password.
    pub async fn rotate(&self, value: &str) -> Result<()> {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { "parlor.chat/rotate-password": value } } }));
        self.api::<ChatRoom>()
            .patch("lobby", &PatchParams::default(), &patch)
            .await
            .context("annotate the ChatRoom")?;
        Ok(())
    }

    /// What is missing until the rotation from `old` is over at every server.
    pub async fn rotating(&self, old: &str) -> Result<Option<String>> {
        let retired = self.key("redis-password-retired").await?;
        let let_in = self.let_in(old).await?;
        let is_over = retired.as_deref() == Some(old) && let_in == 0;
        Ok((!is_over).then(|| format!("{let_in} servers let the old password in, retired: {}", retired.is_some())))
    }

    /// What is missing until so many shards serve, with their replicas, and no other server is left.
    pub async fn resharding(&self, shards: usize) -> Result<Option<String>> {
        let (room, pods) = (self.room().await?, self.pods("redis").await?.len());
        let (served, said) =
            (format!("{shards} of {shards} shards have a replica in sync"), message(&room, "RedisReady"));
        let wrong = !said.contains(&served) || pods != shards * 2 || missing(&room, "Progressing", "False").is_some();
        Ok(wrong.then(|| format!("{pods} pods: {said}")))
    }
}
