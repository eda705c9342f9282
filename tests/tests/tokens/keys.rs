//! Keys and algorithms: what checks what, and what never does.

use parlor_gateway::tokens::{Checks, Keys, KeysError, TokenFault};
use parlor_tests::signer::{Signer, jwks};
use serde_json::{Value, json};

use super::{NOW, SECRET, shared, verifier};

fn claims() -> Value {
    json!({"sub": "42", "exp": NOW + 60})
}

fn checked(keys: Keys, token: &str) -> Result<(), TokenFault> {
    verifier(Checks::default(), keys).verify(token, NOW * 1000).map(|_| ())
}

fn published(signers: &[&Signer]) -> Keys {
    Keys::from_jwks(jwks(signers).as_bytes()).unwrap()
}

#[test]
fn every_algorithm_is_checked_with_a_key_of_its_kind() {
    let (ec, ed, rsa) = (Signer::ec().unwrap(), Signer::ed().unwrap(), Signer::rsa().unwrap());
    for (signer, algorithms) in [(&ec, &["ES256"][..]), (&ed, &["EdDSA"]), (&rsa, &["RS256", "PS256"])] {
        for algorithm in algorithms {
            let token = signer.token_with(algorithm, &claims()).unwrap();
            assert_eq!(checked(published(&[signer]), &token), Ok(()), "{algorithm} by JWKS");
            let keys = Keys::from_file(signer.pem().as_bytes()).unwrap();
            assert_eq!(checked(keys, &token), Ok(()), "{algorithm} by PEM");
        }
    }
    for algorithm in ["HS256", "HS384", "HS512"] {
        let token = Signer::secret(SECRET).token_with(algorithm, &claims()).unwrap();
        assert_eq!(checked(shared(), &token), Ok(()), "{algorithm}");
    }
}

#[test]
fn a_signature_by_another_key_or_over_other_claims_is_refused() {
    let (one, other) = (Signer::ec().unwrap(), Signer::ec().unwrap());
    let token = one.token(&claims()).unwrap();
    assert_eq!(checked(published(&[&other]), &token), Err(TokenFault::Signature));
    let shared = Signer::secret(SECRET).token(&claims()).unwrap();
    assert_eq!(checked(Keys::shared(b"other"), &shared), Err(TokenFault::Signature));
    let other = one.token(&json!({"sub": "1", "exp": NOW + 60, "role": "moderator"})).unwrap();
    let ((more, _), (_, signature)) = (other.rsplit_once('.').unwrap(), token.rsplit_once('.').unwrap());
    assert_eq!(checked(published(&[&one]), &format!("{more}.{signature}")), Err(TokenFault::Signature));
    assert_eq!(checked(published(&[&one]), &format!("{more}.")), Err(TokenFault::Signature));
}

#[test]
fn no_key_checks_an_algorithm_of_another_kind() {
    let (ec, rsa) = (Signer::ec().unwrap(), Signer::rsa().unwrap());
    // The public key, which everybody knows, as the secret of a MAC: in each form in which a library might take it.
    for text in [rsa.pem(), ec.pem(), jwks(&[&rsa]), jwks(&[&ec])] {
        let forged = Signer::secret(&text).token(&claims()).unwrap();
        for keys in [published(&[&rsa, &ec]), Keys::from_file(rsa.pem().as_bytes()).unwrap()] {
            assert_eq!(checked(keys, &forged), Err(TokenFault::Algorithm));
        }
    }
    let table = [
        (shared(), ec.token(&claims()).unwrap()),
        (shared(), rsa.token(&claims()).unwrap()),
        (published(&[&ec]), rsa.token(&claims()).unwrap()),
        (published(&[&rsa]), ec.token(&claims()).unwrap()),
        (published(&[&rsa]), rsa.token_with("RS512", &claims()).unwrap()),
        (published(&[&ec]), ec.token_with("ES384", &claims()).unwrap()),
    ];
    for (keys, token) in table {
        assert_eq!(checked(keys, &token), Err(TokenFault::Algorithm));
    }
    for algorithm in ["none", "None", "HS257", ""] {
        let token = Signer::secret(SECRET).token_with(algorithm, &claims()).unwrap();
        assert_eq!(checked(shared(), &token), Err(TokenFault::Malformed), "{algorithm}");
    }
}

#[test]
fn a_key_that_names_its_algorithm_checks_no_other() {
    let rsa = Signer::rsa().unwrap();
    let mut jwk = rsa.jwk();
    jwk["alg"] = "PS256".into();
    let keys = || Keys::from_jwks(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    assert_eq!(checked(keys(), &rsa.token_with("PS256", &claims()).unwrap()), Ok(()));
    assert_eq!(checked(keys(), &rsa.token_with("RS256", &claims()).unwrap()), Err(TokenFault::Algorithm));
}

#[test]
fn a_key_id_chooses_among_keys_and_an_unknown_one_is_told_apart() {
    let (old, new) = (Signer::ec().unwrap().named("old"), Signer::ec().unwrap().named("new"));
    for signer in [&old, &new] {
        assert_eq!(checked(published(&[&old, &new]), &signer.token(&claims()).unwrap()), Ok(()));
    }
    assert_eq!(checked(published(&[&old]), &new.token(&claims()).unwrap()), Err(TokenFault::UnknownKey));
    let liar = Signer::ec().unwrap().named("old");
    assert_eq!(checked(published(&[&old]), &liar.token(&claims()).unwrap()), Err(TokenFault::Signature));
    // Without an id, every key is tried.
    let (plain, other) = (Signer::ec().unwrap(), Signer::ec().unwrap());
    assert_eq!(checked(published(&[&other, &plain]), &plain.token(&claims()).unwrap()), Ok(()));
}

#[test]
fn keys_that_sign_no_tokens_are_left_out_of_a_document() {
    let good = Signer::ec().unwrap();
    let useless = [
        Signer::secret(SECRET).jwk(),
        json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
        with(&good, "use", "enc".into()),
        with(&good, "alg", "ECDH-ES".into()),
        with(&good, "alg", "HS256".into()),
        with(&good, "key_ops", json!(["sign"])),
        json!({}),
        json!(7),
    ];
    for key in &useless {
        let document = json!({"keys": [key]}).to_string();
        assert_eq!(Keys::from_jwks(document.as_bytes()).map(|_| ()), Err(KeysError::Unusable), "{key}");
    }
    let mut all = useless.to_vec();
    all.push(good.jwk());
    let keys = Keys::from_jwks(json!({"keys": all}).to_string().as_bytes()).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(checked(keys, &good.token(&claims()).unwrap()), Ok(()));
}

fn with(signer: &Signer, field: &str, value: Value) -> Value {
    let mut jwk = signer.jwk();
    jwk[field] = value;
    jwk
}

#[test]
fn a_text_without_keys_says_what_is_wrong_with_it() {
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let many: Vec<Value> = (0..33).map(|_| Signer::ed().unwrap().jwk()).collect();
    let table = [
        ("{}".to_owned(), KeysError::Document),
        (" {\"keys\":7}".to_owned(), KeysError::Document),
        ("{\"keys\":[]}".to_owned(), KeysError::Unusable),
        (json!({ "keys": many }).to_string(), KeysError::TooMany),
        (String::new(), KeysError::Text),
        ("secret".to_owned(), KeysError::Text),
        (pem("PUBLIC KEY"), KeysError::Pem),
        (pem("EC PARAMETERS"), KeysError::Pem),
        (pem("CERTIFICATE"), KeysError::Certificate),
        (pem("PRIVATE KEY"), KeysError::Private),
        (pem("RSA PRIVATE KEY"), KeysError::Private),
        (format!("{}{}", Signer::ec().unwrap().pem(), pem("PUBLIC KEY")), KeysError::Pem),
        (pem("PUBLIC KEY").replace("AAAA", &"A".repeat(4096)), KeysError::Pem),
    ];
    for (text, fault) in table {
        assert_eq!(Keys::from_file(text.as_bytes()).map(|_| ()), Err(fault), "{text}");
    }
    assert_eq!(Keys::from_file(b"\xff").map(|_| ()), Err(KeysError::Text));
}

#[test]
fn a_pem_file_may_hold_old_and_new_keys() {
    let (old, new) = (Signer::ec().unwrap(), Signer::ed().unwrap());
    let file = format!("{}{}", old.pem(), new.pem());
    for signer in [&old, &new] {
        assert_eq!(checked(Keys::from_file(file.as_bytes()).unwrap(), &signer.token(&claims()).unwrap()), Ok(()));
    }
}

#[test]
fn without_keys_nobody_is_refused_for_good() {
    let token = Signer::ec().unwrap().token(&claims()).unwrap();
    assert_eq!(checked(Keys::default(), &token), Err(TokenFault::NoKeys));
}
