//! How the Redis servers of a ChatRoom are spoken to (no client).
//!
//! Decides what a connection presents and whom it trusts, from the generated Secret and the certificates that the ChatRoom
//! names, and says what is wrong with those. Called by `observe`.

use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};
use parlor_crds::ChatRoom;

use super::build::{certificates::Certificates, secret};
use crate::redis::{
    access::Access,
    tls::{Tls, TlsError},
};

/// The way in.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Absent while it is not known. A server that is to speak TLS is never spoken to without.
    pub(super) access: Option<Access>,
    /// What is wrong with the certificates.
    pub(super) trouble: Option<String>,
}

/// Decides it. `named` are the certificates of the Secret that the ChatRoom names for them, if it names one.
pub(super) fn entry(
    room: &ChatRoom,
    generated: Option<&Secret>,
    named: Option<&Certificates>,
    now: Timestamp,
) -> Entry {
    let passwords = generated.and_then(secret::redis_passwords);
    let Some(wanted) = room.spec.redis.managed.as_ref().and_then(|managed| managed.tls.as_ref()) else {
        return Entry { access: Some(Access { passwords, tls: None }), trouble: None };
    };
    let made = generated.map(Certificates::generated);
    let found = if wanted.secret_name.is_some() { named } else { made.as_ref() };
    let Some((authority, certificate)) = found.and_then(Certificates::both) else {
        let lacking = |name: &String| format!("Secret {name} does not exist, or lacks ca.crt, tls.crt or tls.key");
        return Entry { access: None, trouble: wanted.secret_name.as_ref().map(lacking) };
    };
    let said = |error: TlsError| match &wanted.secret_name {
        Some(name) => format!("Secret {name}: {error}"),
        None => format!("the generated certificates: {error}"),
    };
    let mut tls = match Tls::trusting(authority, &room.redis_server_name()) {
        Ok(tls) => tls,
        Err(error) => return Entry { access: None, trouble: Some(said(error)) },
    };
    let trouble = tls.expecting(certificate, now).err().map(said);
    Entry { access: Some(Access { passwords, tls: Some(tls) }), trouble }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;
    use parlor_crds::chatroom::{ManagedRedis, ManagedTls};

    use super::{super::build::certificates, *};

    fn room(name: &str, secret_name: Option<&str>) -> ChatRoom {
        let mut room = ChatRoom::new(name, Default::default());
        room.metadata.namespace = Some("chat".into());
        let tls = ManagedTls { secret_name: secret_name.map(Into::into) };
        room.spec.redis.managed = Some(ManagedRedis { tls: Some(tls), ..ManagedRedis::default() });
        room
    }

    /// A Secret as people bring it, made for the ChatRoom `name`.
    fn brought(name: &str, now: Timestamp) -> Certificates {
        let made = certificates::fresh(&room(name, None), None, now).unwrap();
        let keys = [
            ("ca.crt", certificates::AUTHORITY),
            ("tls.crt", certificates::CERTIFICATE),
            ("tls.key", certificates::CERTIFICATE_KEY),
        ];
        let data = keys.map(|(key, made_as)| (key.to_owned(), ByteString(made[made_as].clone().into_bytes())));
        Certificates::named(&Secret { data: Some(BTreeMap::from(data)), ..Secret::default() })
    }

    fn expects(entry: &Entry) -> bool {
        entry.access.as_ref().and_then(|access| access.tls.as_ref()).is_some_and(Tls::expects)
    }

    #[test]
    fn a_good_certificate_is_expected_of_every_server() {
        let now = Timestamp::now();
        let entry = entry(&room("lobby", Some("own")), None, Some(&brought("lobby", now)), now);
        assert_eq!(entry.trouble, None);
        assert!(expects(&entry));
    }

    #[test]
    fn servers_keep_what_they_have_when_clients_would_refuse_the_new_certificate() {
        let now = Timestamp::now();
        let year_ago = now - k8s_openapi::jiff::SignedDuration::from_hours(24 * 400);
        for (brought, why) in [(brought("other", now), "other-redis.chat"), (brought("lobby", year_ago), "expired")] {
            let entry = entry(&room("lobby", Some("own")), None, Some(&brought), now);
            let trouble = entry.trouble.clone().unwrap();
            assert!(
                trouble.starts_with("Secret own: clients refuse the certificate for lobby-redis.chat: "),
                "{trouble}"
            );
            assert!(trouble.contains(why), "{trouble}");
            assert!(entry.access.is_some() && !expects(&entry));
        }
    }

    #[test]
    fn nobody_speaks_without_tls_to_servers_that_are_to_speak_it() {
        let now = Timestamp::now();
        let lacking = entry(&room("lobby", Some("own")), None, Some(&Certificates::default()), now);
        assert!(lacking.access.is_none());
        assert_eq!(lacking.trouble.unwrap(), "Secret own does not exist, or lacks ca.crt, tls.crt or tls.key");
        let first = entry(&room("lobby", None), None, None, now);
        assert!(first.access.is_none() && first.trouble.is_none(), "the operator makes them in this pass");
    }
}
