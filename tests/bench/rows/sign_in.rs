//! What a connection costs that brings a token of a login.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use parlor_tests::{
    gateway::Setup,
    signer::{Signer, jwks},
};
use serde_json::json;

use super::{BYTES, Bench, SPEC};
use crate::{
    generator::Load,
    results::{Section, Target, short},
    sample::median,
    scale::Scale,
    server::Server,
};

const SECRET: &str = "the shared secret of the benchmark";

pub(super) fn measure(bench: &Bench) -> Result<Section> {
    let number = bench.scale.pick(10_000, 1000);
    let (hmac, ec) = (Signer::secret(SECRET), Signer::ec()?.named("bench"));
    let kinds =
        [("HS256", &hmac, "secretRef", SECRET.to_owned(), 8_000.0), ("ES256", &ec, "jwksRef", jwks(&[&ec]), 4_000.0)];
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (algorithm, signer, kind, secret, least) in kinds {
        let spec = format!("{SPEC}auth: {{jwt: {{keys: {{{kind}: {{name: login, key: keys}}}}}}}}\n");
        let setup = Setup::spec(&spec).secret("login/keys", &secret);
        let server = Server::parlor_with(&bench.runtime, &bench.redis, setup)?;
        let rate = handshakes(&server, &token(signer)?, number, bench.scale)?;
        rows.push(vec![algorithm.to_owned(), short(rate), format!("{:.0} us", 1e6 / rate)]);
        let what = format!("14. handshakes with {algorithm} per second of gateway CPU");
        targets.push(Target::least(what, least, rate, ""));
    }
    Ok(Section {
        title: "Handshakes with a token",
        about: format!("{number} connections to /chat with Authorization: Bearer, at most 100 at a time."),
        header: &["algorithm", "per second of gateway CPU", "CPU each"],
        rows,
        targets,
        ..Section::default()
    })
}

/// Handshakes per second of the server's CPU.
fn handshakes(server: &Server, token: &str, number: usize, scale: Scale) -> Result<f64> {
    let endpoint = server.signed_in(token)?;
    let mut rates = Vec::new();
    for round in 1..=scale.rounds() {
        let mut load = Load::new(BYTES)?;
        let (cpu, began) = (server.cpu()?, Instant::now());
        load.connect(&endpoint, number, |_| Vec::new())?;
        rates.push(number as f64 / (server.cpu()? - cpu).as_secs_f64().max(1e-9));
        println!("{round}/{} handshakes with a token, {:.1} s", scale.rounds(), began.elapsed().as_secs_f64());
        drop(load);
        // The gateway sees them go.
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(median(rates))
}

fn token(signer: &Signer) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    signer.token(&json!({"sub": "42", "name": "Ada", "rooms": ["bench*"], "iat": now, "exp": now + 3600}))
}
