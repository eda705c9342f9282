//! A login that signs tokens: the other side of `spec.auth.jwt`, on ring, as a library of another language would.

use anyhow::{Context, Result, anyhow};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    hmac,
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        RsaEncoding, RsaKeyPair,
    },
};
use serde_json::{Value, json};

/// Made for these tests, and used for nothing else: ring makes no RSA keys.
const RSA: &str = "\
MIIEpAIBAAKCAQEA1Cs7ZsdGSLSD1Cjc48xNRqCMVbgnPcP44cULBX1cwRPSZSQ5ZFDKpQZ3PVMXV83ID7n13BWsCVRsIH0wEV0M\
hjwdbz11gsWnS2sQNgPK/08RigtunnhyfFCDCX5MWG8491QpW2ey1vxs+kgBPlEZo4hYRl027DIGiJ7bg32O9pMcYLeEyPvuCHjy\
06kxJ3DwjzWbYnkcahMCQLTqyfUQJZ+v2ElBO7oR4apg99C9AYSZeUKsTufXz2KpqNWTa0rUXfkVEE25rm7W7eGa8JnBstTb85XI\
3SLJ911aW7/BWEqcNwe1L75lwxGR++wq7YBYipr0X2YwL5FPxZH1LvkvnwIDAQABAoIBAByH98P5djUeuT+VgybK+XVO77AzRGuk\
59oMck/5rLh2Huvk9CbOSoHona5Mdy4iiQ28VxiSfYD/rk6sJwOevKlsehTUcfH0/GtC6XoqBmlQy64BnY2H6vVWqlhjeIbH5iQ0\
WB9nkYAhj9IUTr5/j3ATTLOho1od3A0RN7m177yuivoYX+ZmeK2AfgT726JrePRMoTtTuuqRFkUybp2DSGbXZV6UC+B0bZoTtn33\
7c9lQ/EYDLzesrggidctTGlJnPs5qXH1spy5Tl5rvWO9HTBayAPRgZTuqKqElop6CqP5OAmxyFw9aXhbrQ1lonZyjqrlXp5nBh/K\
kIS+7Z0L0ZkCgYEA9Ai3RfxovP2tWoZdQ9p5L9Aa/T1U8VZcUmat8INp8imU/BMFTxKEqvrKipmfssSvsgvB1nkXdmry5AxupBfs\
ehLUSKZt95jv3K7yiuhbhAm+kvWYU1xw9ZpyIYOQ4minEtzzgxb65uv9pcqfscdsINxkzWiKMT1UiGoesCBQxHsCgYEA3pKFwALa\
2chi+lqph9tjEwvNgkoP+Qw4Gbkuv/LjXg+RZERWnE9Aq8KOI0vZnKi+Jk5konOefOfmffUyoaJg30A7aEvOI3DL1fkKjCtgZ0XN\
RtqufrK8w2TQAJsMlz7FB053A/BV4HK2dpqqNxdZ3wq6c2zc2h5mQBJaP74CEi0CgYEA2CqkVi1ZhhfcKHUfRozPjqf0UGC0zrcm\
PqPP7l4qSiXFYGlk6X9I38AaDB47FXse+0No6BgJzY69K39LvrWmdxgYzWYHwSzLRJwAI0XiUxriooFE9orLUPQHp2JIxBXZ8V6h\
onyHsmhXHjZXsX4qbQ1tiXrR9v4R1GjUWEW35eMCgYEAvsjYT3PjBwWHGlT2txbugRf/7CvyLygzOpGLKkxYa3tqxIjzuP8ST2jx\
D/5nparbe9h82OfEtgrOf6/b28NlyFi107wPEkAQ6fSU/vv7oeqqgI7ZPo+V0OOsjKhbjZXnrFCtIjo0UrXiBB6lw52HkvIOSvzI\
/0tJmKhipfsIqW0CgYBz8iH+kTJ/MvDPYhxmkq09xq6vU4lvICp9B/t1mL2nhn7NjjssO3gkd0siArUyRcthdOrNXSDqkty4Sqre\
qzNSk5OyeRn13ZDdvesdhQoNiO8q21fg1kpbVMdHSIsr5CIztoCXzWs+tAX1dSD7zs/hqvBOKO7eV88HXZrHAvjBdg==";

/// A key that signs tokens, and the id that it puts into them.
pub struct Signer {
    id: Option<String>,
    key: SigningKey,
}

enum SigningKey {
    Secret(Vec<u8>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// What goes wrong in ring has no words.
fn failed<E: std::fmt::Debug>(error: E) -> anyhow::Error {
    anyhow!("ring failed: {error:?}")
}

impl Signer {
    /// A shared secret.
    pub fn secret(secret: &str) -> Self {
        Self { id: None, key: SigningKey::Secret(secret.as_bytes().to_vec()) }
    }

    /// A new key of P-256.
    pub fn ec() -> Result<Self> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(failed)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random);
        Ok(Self { id: None, key: SigningKey::Ec(pair.map_err(failed)?) })
    }

    /// A new key of Ed25519.
    pub fn ed() -> Result<Self> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?;
        Ok(Self { id: None, key: SigningKey::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(failed)?) })
    }

    /// The RSA key of the tests.
    pub fn rsa() -> Result<Self> {
        let der = STANDARD.decode(RSA).context("read the RSA key")?;
        Ok(Self { id: None, key: SigningKey::Rsa(RsaKeyPair::from_der(&der).map_err(failed)?) })
    }

    /// The same under an id.
    #[must_use]
    pub fn named(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    /// The algorithm that it signs with unless it is asked for another.
    fn algorithm(&self) -> &'static str {
        match &self.key {
            SigningKey::Secret(_) => "HS256",
            SigningKey::Ec(_) => "ES256",
            SigningKey::Ed(_) => "EdDSA",
            SigningKey::Rsa(_) => "RS256",
        }
    }

    /// A token over `claims`.
    pub fn token(&self, claims: &Value) -> Result<String> {
        self.token_with(self.algorithm(), claims)
    }

    /// A token that says `algorithm`, signed with it where this key can do that.
    pub fn token_with(&self, algorithm: &str, claims: &Value) -> Result<String> {
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if let Some(id) = &self.id {
            header["kid"] = id.as_str().into();
        }
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature = self.sign(algorithm, token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        Ok(match &self.key {
            SigningKey::Secret(secret) => {
                let digest = match algorithm {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(digest, secret), message).as_ref().to_vec()
            }
            SigningKey::Ec(pair) => pair.sign(&random, message).map_err(failed)?.as_ref().to_vec(),
            SigningKey::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            SigningKey::Rsa(pair) => {
                let padding: &dyn RsaEncoding = if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature).map_err(failed)?;
                signature
            }
        })
    }

    /// The public key as a JWK; of a shared secret, the secret.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.key {
            SigningKey::Secret(secret) => json!({"kty": "oct", "k": text(secret)}),
            SigningKey::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            SigningKey::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())}),
            SigningKey::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": text(&n), "e": text(&e)})
            }
        };
        if let Some(id) = &self.id {
            jwk["kid"] = id.as_str().into();
        }
        jwk
    }

    /// The public key in PEM.
    pub fn pem(&self) -> String {
        // SubjectPublicKeyInfo up to the key itself (RFC 5480, RFC 8410); RSA keys are written as PKCS #1.
        const P256: [u8; 26] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
            0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let (label, der) = match &self.key {
            SigningKey::Secret(secret) => ("SECRET", secret.clone()),
            SigningKey::Ec(pair) => ("PUBLIC KEY", [&P256[..], pair.public_key().as_ref()].concat()),
            SigningKey::Ed(pair) => ("PUBLIC KEY", [&ED25519[..], pair.public_key().as_ref()].concat()),
            SigningKey::Rsa(pair) => ("RSA PUBLIC KEY", pair.public_key().as_ref().to_vec()),
        };
        let body = STANDARD.encode(der);
        let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }
}

/// A JWKS document with the public keys of `signers`.
pub fn jwks(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}
