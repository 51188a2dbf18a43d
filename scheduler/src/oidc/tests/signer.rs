//! What a provider signs tokens with, and what forgers do instead: written apart from what verifies.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The two kinds that providers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    Ec,
}

/// How a token is not what it seems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgery {
    OtherKey,
    ClaimsChanged,
    NoSignature,
    AlgNone,
    PublicKeyAsSecret,
    OtherAlgorithm,
    UnknownKey,
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

/// A key with its name.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    pair: Arc<Pair>,
    kid: String,
    forgery: Option<Forgery>,
}

impl Default for Signer {
    fn default() -> Self {
        Self::new(Kind::Rsa, "default")
    }
}

impl Pair {
    fn generate(kind: Kind) -> Self {
        match kind {
            Kind::Rsa => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
            Kind::Ec => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let (random, text) = (SystemRandom::new(), text.as_bytes());
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, text).unwrap().as_ref().to_vec(),
        }
    }

    /// The members of a JWK that are the key.
    fn public(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(pair) => {
                // RSAPublicKey in DER: the heads of the sequence and of the modulus, and its sign byte,
                // are 9 bytes; the exponent 65537 is the last 3.
                let der = pair.public_key().as_ref();
                assert_eq!((der.len(), &der[der.len() - 3..]), (270, &[1, 0, 1][..]));
                json!({"kty": "RSA", "n": encode(&der[9..265]), "e": "AQAB"})
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                assert_eq!((point.len(), point[0]), (65, 4), "an uncompressed point");
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
        }
    }
}

impl Signer {
    pub(super) fn new(kind: Kind, kid: &str) -> Self {
        Self { pair: Arc::new(Pair::generate(kind)), kid: kid.to_owned(), forgery: None }
    }

    /// The same key in a forger's hands.
    pub(super) fn forging(&self, forgery: Forgery) -> Self {
        Self { forgery: Some(forgery), ..self.clone() }
    }

    /// The key set, with keys beside ours as real ones have.
    pub(super) fn published(&self) -> Value {
        let mut ours = self.pair.public();
        ours["kid"] = self.kid.as_str().into();
        ours["use"] = "sig".into();
        json!({"keys": [{"kty": "unheard of", "kid": "x"}, ours]})
    }

    /// A token of these claims.
    pub(super) fn token(&self, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let forgery = self.forgery;
        let algorithm = match forgery {
            Some(Forgery::AlgNone) => "none",
            Some(Forgery::PublicKeyAsSecret) => "HS256",
            Some(Forgery::OtherAlgorithm) if self.pair.algorithm() == "RS256" => "ES256",
            Some(Forgery::OtherAlgorithm) => "RS256",
            _ => self.pair.algorithm(),
        };
        let kid = if forgery == Some(Forgery::UnknownKey) { "made up" } else { &self.kid };
        let head = encode(&json!({"alg": algorithm, "typ": "JWT", "kid": kid}));
        let signed = format!("{head}.{}", encode(claims));
        let signature = match forgery {
            Some(Forgery::NoSignature | Forgery::AlgNone) => Vec::new(),
            Some(Forgery::OtherKey | Forgery::UnknownKey) => {
                let kind = if matches!(*self.pair, Pair::Rsa(_)) { Kind::Rsa } else { Kind::Ec };
                Pair::generate(kind).sign(&signed)
            }
            Some(Forgery::PublicKeyAsSecret) => {
                let key =
                    hmac::Key::new(hmac::HMAC_SHA256, self.pair.public().to_string().as_bytes());
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            Some(Forgery::ClaimsChanged | Forgery::OtherAlgorithm) | None => {
                self.pair.sign(&signed)
            }
        };
        let signature = URL_SAFE_NO_PAD.encode(signature);
        if forgery == Some(Forgery::ClaimsChanged) {
            let mut claims = claims.clone();
            claims["email"] = "root@example.org".into();
            return format!("{head}.{}.{signature}", encode(&claims));
        }
        format!("{signed}.{signature}")
    }
}
