//! The cryptography under jsonwebtoken: ring, which does TLS in this process already, so that there is one provider to
//! trust and to update. Checks signatures and makes none.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{Error as Mismatch, Verifier},
};
use ring::{
    hmac,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
        RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    // Asked only for keys that sign.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has jsonwebtoken use ring. Called before the first token; later calls change nothing.
pub(super) fn install() {
    // An error says that it was done already.
    let _installed = PROVIDER.install_default();
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

/// What checks one token.
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let check = match algorithm {
        Algorithm::HS256 => Check::mac(hmac::HMAC_SHA256, key)?,
        Algorithm::HS384 => Check::mac(hmac::HMAC_SHA384, key)?,
        Algorithm::HS512 => Check::mac(hmac::HMAC_SHA512, key)?,
        Algorithm::RS256 => Check::rsa(&RSA_PKCS1_2048_8192_SHA256, key)?,
        Algorithm::PS256 => Check::rsa(&RSA_PSS_2048_8192_SHA256, key)?,
        Algorithm::ES256 => Check::public(&ECDSA_P256_SHA256_FIXED, AlgorithmFamily::Ec, key)?,
        Algorithm::EdDSA => Check::public(&ED25519, AlgorithmFamily::Ed, key)?,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(Box::new(RingVerifier { algorithm: *algorithm, check }))
}

enum Check {
    Mac(hmac::Key),
    /// A key as ring reads it: a point, or the DER form of PKCS #1.
    Public(&'static dyn VerificationAlgorithm, Vec<u8>),
    Rsa(&'static RsaParameters, RsaPublicKeyComponents<Vec<u8>>),
}

impl Check {
    fn mac(algorithm: hmac::Algorithm, key: &DecodingKey) -> Result<Self, Error> {
        Ok(Self::Mac(hmac::Key::new(algorithm, of_family(key, AlgorithmFamily::Hmac)?.try_get_as_bytes()?)))
    }

    fn public(
        algorithm: &'static dyn VerificationAlgorithm,
        family: AlgorithmFamily,
        key: &DecodingKey,
    ) -> Result<Self, Error> {
        Ok(Self::Public(algorithm, of_family(key, family)?.try_get_as_bytes()?.to_vec()))
    }

    fn rsa(parameters: &'static RsaParameters, key: &DecodingKey) -> Result<Self, Error> {
        Ok(match of_family(key, AlgorithmFamily::Rsa)?.kind() {
            DecodingKeyKind::SecretOrDer(der) => Self::Public(parameters, der.clone()),
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                Self::Rsa(parameters, RsaPublicKeyComponents { n: unpadded(n), e: unpadded(e) })
            }
        })
    }
}

/// The key, if it is of the family that the algorithm needs.
fn of_family(key: &DecodingKey, family: AlgorithmFamily) -> Result<&DecodingKey, Error> {
    if key.family() == family { Ok(key) } else { Err(ErrorKind::InvalidKeyFormat.into()) }
}

/// A number without zeros in front, which some logins write and ring refuses.
fn unpadded(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number[zeros..].to_vec()
}

struct RingVerifier {
    algorithm: Algorithm,
    check: Check,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Mismatch> {
        let checked = match &self.check {
            Check::Mac(key) => hmac::verify(key, message, signature),
            Check::Public(algorithm, key) => UnparsedPublicKey::new(*algorithm, key).verify(message, signature),
            Check::Rsa(parameters, key) => key.verify(parameters, message, signature),
        };
        // ring says no more than that it does not fit.
        checked.map_err(|_| Mismatch::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
