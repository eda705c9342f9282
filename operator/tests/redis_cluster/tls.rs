//! Servers that speak TLS form a cluster, move slots and load a renewed certificate while clients write.

use std::path::Path;

use k8s_openapi::{ByteString, api::core::v1::Secret, jiff::Timestamp};
use parlor_crds::{
    ChatRoom,
    chatroom::{ManagedRedis, ManagedTls},
};
use parlor_operator::{
    reconcile::build::certificates,
    redis::{
        access::Access,
        client,
        passwords::Passwords,
        plan::{Member, Shape},
        settings,
        tls::Tls,
    },
};

use crate::{clients::Counting, pods::Pods};

fn room() -> ChatRoom {
    let mut room = ChatRoom::new("lobby", Default::default());
    room.metadata.namespace = Some("chat".into());
    room.spec.redis.managed = Some(ManagedRedis { tls: Some(ManagedTls::default()), ..ManagedRedis::default() });
    room
}

/// Adds to the Secret what it lacks, as the operator does.
fn complete(secret: &mut Secret) {
    let fresh = certificates::fresh(&room(), Some(secret), Timestamp::now()).unwrap();
    let fresh = fresh.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())));
    secret.data.get_or_insert_default().extend(fresh);
}

/// Writes what pods mount of the Secret, and answers how servers are spoken to that have read it.
fn mount(directory: &Path, secret: &Secret) -> Tls {
    let value = |key: &str| secret.data.as_ref().unwrap()[key].0.clone();
    let files = [
        (certificates::AUTHORITY, settings::AUTHORITY),
        (certificates::CERTIFICATE, settings::CERTIFICATE),
        (certificates::CERTIFICATE_KEY, settings::CERTIFICATE_KEY),
    ];
    files.iter().for_each(|(key, file)| std::fs::write(directory.join(file), value(key)).unwrap());
    let mut tls = Tls::trusting(&value(certificates::AUTHORITY), &room().redis_server_name()).unwrap();
    tls.expecting(&value(certificates::CERTIFICATE), Timestamp::now()).unwrap();
    tls
}

fn with_the_old_certificate(members: &[Member]) -> usize {
    members.iter().filter(|member| member.view.as_ref().is_none_or(|view| view.certificate_is_old)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_speak_tls_alone_move_slots_and_load_a_renewed_certificate_while_clients_write() {
    let directory = std::env::temp_dir().join(format!("parlor-redis-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut secret = Secret::default();
    complete(&mut secret);
    let tls = mount(&directory, &secret);
    let mut pods = Pods::start_with_tls(97, &directory);
    let password = Passwords::settled("secret");
    (pods.tls, pods.passwords) = (Some(tls.clone()), Some(password.clone()));
    pods.reconcile().await;
    pods.mount(&password);
    assert_eq!(with_the_old_certificate(&pods.members().await), 0);
    client::view(&pods.pods[0].ip, &Access::plain(password)).await.unwrap_err();

    let clients = Counting::start(&pods);
    pods.shape = Shape { shards: 4, replicas: 1 };
    pods.grow();
    pods.reconcile().await;

    // Long before its end the certificate is made again, by the same authority.
    secret.data.as_mut().unwrap().insert(certificates::RENEWED_AT.into(), ByteString(b"2001-01-01".to_vec()));
    complete(&mut secret);
    pods.tls = Some(mount(&directory, &secret));
    assert_eq!(with_the_old_certificate(&pods.members().await), 8);
    let steps = pods.reconcile().await;
    assert_eq!(steps, ["let 8 servers load their renewed certificate"]);
    let members = pods.members().await;
    assert_eq!(with_the_old_certificate(&members), 0);
    assert!(members.iter().all(|member| member.view.as_ref().unwrap().holds_a_copy()), "no server lost its primary");
    assert!(clients.verify().await > 0);
    std::fs::remove_dir_all(&directory).unwrap();
}
