//! Certificates of a managed Redis that speaks TLS: an authority of the ChatRoom's own, and one certificate for all its servers.
//!
//! Both are kept in the generated Secret. The authority is made once; the certificate is made again long before its end, so that
//! an operator that was away for months finds servers that it can still trust. Reads the certificates that people bring, too.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::Secret,
    jiff::{Span, Timestamp, civil::Date, tz::TimeZone},
};
use parlor_crds::ChatRoom;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::redis::settings;

/// The authority, which everybody who connects trusts.
pub const AUTHORITY: &str = "redis-ca.crt";
/// What the authority signs with. Mounted nowhere.
pub const AUTHORITY_KEY: &str = "redis-ca.key";
/// What servers present.
pub const CERTIFICATE: &str = "redis-tls.crt";
/// What they prove it with.
pub const CERTIFICATE_KEY: &str = "redis-tls.key";
/// When the certificate is made again, as a date.
pub const RENEWED_AT: &str = "redis-tls-renewed-at";

const AUTHORITY_DAYS: i64 = 20 * 365;
const CERTIFICATE_DAYS: i64 = 365;
const RENEWED_DAYS: i64 = 270;

/// All of them.
pub const KEYS: [&str; 5] = [AUTHORITY, AUTHORITY_KEY, CERTIFICATE, CERTIFICATE_KEY, RENEWED_AT];

/// Whether the ChatRoom asks for certificates of an authority of its own.
pub fn are_generated(room: &ChatRoom) -> bool {
    let tls = room.spec.redis.managed.as_ref().and_then(|managed| managed.tls.as_ref());
    tls.is_some_and(|tls| tls.secret_name.is_none())
}

/// What clients of Redis need of a Secret with certificates: no key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    authority: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
}

impl Certificates {
    /// Those in the generated Secret.
    pub fn generated(secret: &Secret) -> Self {
        Self::of(secret, AUTHORITY, CERTIFICATE, CERTIFICATE_KEY)
    }

    /// Those in a Secret that the ChatRoom names.
    pub fn named(secret: &Secret) -> Self {
        Self::of(secret, settings::AUTHORITY, settings::CERTIFICATE, settings::CERTIFICATE_KEY)
    }

    /// A certificate without its key is none.
    fn of(secret: &Secret, authority: &str, certificate: &str, key: &str) -> Self {
        let value = |key: &str| secret.data.as_ref()?.get(key).filter(|value| !value.0.is_empty()).cloned();
        let certificate = value(key).and_then(|_| value(certificate));
        Self { authority: value(authority).map(|value| value.0), certificate: certificate.map(|value| value.0) }
    }

    /// The authority and the certificate, if both are there.
    pub fn both(&self) -> Option<(&[u8], &[u8])> {
        self.authority.as_deref().zip(self.certificate.as_deref())
    }
}

/// Certificates to be added to the generated Secret, by key.
pub type Fresh = BTreeMap<&'static str, String>;

/// What the generated Secret lacks of certificates, or holds of ones that end soon; empty if nothing.
pub fn fresh(room: &ChatRoom, secret: Option<&Secret>, now: Timestamp) -> Result<Fresh, rcgen::Error> {
    let text = |key: &str| {
        let value = secret?.data.as_ref()?.get(key)?;
        String::from_utf8(value.0.clone()).ok()
    };
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut fresh = Fresh::new();
    let key = match (text(AUTHORITY), text(AUTHORITY_KEY)) {
        (Some(_), Some(pem)) => KeyPair::from_pem(&pem)?,
        _ => {
            let key = KeyPair::generate()?;
            fresh.insert(AUTHORITY, authority(today).self_signed(&key)?.pem());
            fresh.insert(AUTHORITY_KEY, key.serialize_pem());
            key
        }
    };
    let renewed_at: Option<Date> = text(RENEWED_AT).and_then(|date| date.parse().ok());
    if !fresh.is_empty() || renewed_at.is_none_or(|date| date <= today) {
        let own = KeyPair::generate()?;
        let signed = certificate(room, today)?.signed_by(&own, &Issuer::new(authority(today), key))?;
        fresh.insert(CERTIFICATE, signed.pem());
        fresh.insert(CERTIFICATE_KEY, own.serialize_pem());
        fresh.insert(RENEWED_AT, later(today, RENEWED_DAYS).to_string());
    }
    Ok(fresh)
}

/// The authority as it was made first but for its dates, of which nothing that it signs speaks.
fn authority(today: Date) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Parlor Redis authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    last(&mut params, today, AUTHORITY_DAYS);
    params
}

fn certificate(room: &ChatRoom, today: Date) -> Result<CertificateParams, rcgen::Error> {
    let name = room.redis_server_name();
    let mut params = CertificateParams::new([format!("*.{name}"), name])?;
    params.distinguished_name = named("Parlor Redis");
    // Servers are clients of each other.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    last(&mut params, today, CERTIFICATE_DAYS);
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// From the day before, for clocks that are behind.
fn last(params: &mut CertificateParams, today: Date, days: i64) {
    let midnight =
        |date: Date| rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs());
    params.not_before = midnight(later(today, -1));
    params.not_after = midnight(later(today, days));
}

fn later(date: Date, days: i64) -> Date {
    date.saturating_add(Span::new().days(days))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn kept(fresh: Fresh) -> Secret {
        let data = fresh.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())));
        Secret { data: Some(data.collect()), ..Secret::default() }
    }

    #[test]
    fn the_authority_is_made_once_and_the_certificate_again_three_months_before_its_end() {
        let mut room = ChatRoom::new("lobby", Default::default());
        room.metadata.namespace = Some("chat".into());
        let day =
            |days: i64| Timestamp::UNIX_EPOCH + k8s_openapi::jiff::SignedDuration::from_hours(24 * (20_000 + days));
        let first = fresh(&room, None, day(0)).unwrap();
        assert_eq!(first.len(), 5);
        let secret = kept(first);
        assert_eq!(fresh(&room, Some(&secret), day(269)).unwrap(), Fresh::new());
        let renewed = fresh(&room, Some(&secret), day(270)).unwrap();
        assert_eq!(renewed.keys().copied().collect::<Vec<_>>(), [RENEWED_AT, CERTIFICATE, CERTIFICATE_KEY]);
    }
}
