//! Laws of the configuration.

use super::*;
use std::fs;

const TENANT: &str = "[[tenant]]\nname = \"acme\"\n[[tenant.key]]\nkid = \"k1\"\nalg = \"HS256\"\nsecret = \"0123456789abcdef0123456789abcdef\"\n";
const TLS: &str = "[tls]\ncertificate_file = \"c.pem\"\nkey_file = \"k.pem\"\n";

fn load(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("duet.toml");
    fs::write(&file, text).unwrap();
    let flags =
        flags.iter().map(|(key, value)| (format!("--set {key}"), (*key).into(), (*value).into())).collect();
    let arguments = Arguments { file: Some(file), flags, dev: false, serving: true };
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let shorten = |error: ConfigError| error.to_string().replace(&format!("{}/", dir.path().display()), "");
    Config::load(&arguments, variables).map_err(shorten)
}

fn refused(text: &str) -> String {
    load(&format!("{text}\n{TLS}{TENANT}"), &[], &[]).unwrap_err()
}

#[test]
fn flags_win_over_the_environment_over_the_file() {
    let file = format!(
        "node = \"file\"\n[limits]\nlanes_max = 10\nstreams_max = 11\nmembers_max = 12\n{TLS}{TENANT}"
    );
    let environment =
        [("DUET_LIMITS_STREAMS_MAX", "21"), ("DUET_LIMITS_MEMBERS_MAX", "22"), ("PATH", "/bin")];
    let config = load(&file, &environment, &[("limits.members_max", "32")]).unwrap();
    assert_eq!((config.limits.lanes_max, config.limits.streams_max, config.limits.members_max), (10, 21, 32));
    assert_eq!(config.node.as_str(), "file");
    assert_eq!(config.limits.typing_ttl_ms, 10_000, "the default holds where nobody says anything");
}

#[test]
fn an_error_names_key_value_place_and_rule() {
    assert_eq!(
        refused("[limits]\nlanes_max = 0"),
        "duet.toml:2: limits.lanes_max = 0: must be a whole number from 1 to 4096"
    );
    assert_eq!(
        load(&format!("{TLS}{TENANT}"), &[("DUET_LIMITS_LANES_MAX", "many")], &[]).unwrap_err(),
        "environment DUET_LIMITS_LANES_MAX: limits.lanes_max = \"many\": must be a whole number from 1 to 4096"
    );
    assert_eq!(
        load(&format!("{TLS}{TENANT}"), &[], &[("log.format", "xml")]).unwrap_err(),
        "flag --set log.format: log.format = \"xml\": must be json, text or auto"
    );
    assert!(refused("listen = { admin = \"0.0.0.0:9433\" }").contains("must be a loopback address"));
    assert!(refused("[origins]\nallowed = [\"https://a.example/path\"]").contains("without a path"));
}

#[test]
fn a_key_that_is_not_known_is_refused_with_what_was_meant() {
    assert_eq!(
        refused("[limits]\nlane_max = 3"),
        "duet.toml:2: limits.lane_max: there is no such key; did you mean `limits.lanes_max`?"
    );
    assert!(refused("[limts]\nlanes_max = 3").contains("did you mean `limits.lanes_max`?"));
    assert!(load("", &[("DUET_NODES", "x")], &[]).unwrap_err().contains("did you mean `DUET_NODE`?"));
    let misspelt = format!("{TLS}{}", TENANT.replace("kid", "kind"));
    assert!(load(&misspelt, &[], &[]).unwrap_err().contains("did you mean `kid`?"));
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    let error = load("node = \"a\"\nlisten = [\n", &[], &[]).unwrap_err();
    assert!(error.starts_with("duet.toml:"), "{error}");
}

#[test]
fn a_server_without_tenant_or_certificate_is_refused_unless_it_is_for_development() {
    assert!(load(TLS, &[], &[]).unwrap_err().contains("[[tenant]]"));
    assert!(load(TENANT, &[], &[]).unwrap_err().contains("tls.certificate_file"));
    let arguments = Arguments { dev: true, serving: true, ..Arguments::default() };
    let none = || std::iter::empty::<(String, String)>();
    let config = Config::load(&arguments, none()).unwrap();
    assert!(config.listen.clients.iter().all(|address| address.ip().is_loopback()));
    let public = Arguments {
        flags: vec![("--listen".into(), "listen.clients".into(), "0.0.0.0:1".into())],
        ..arguments
    };
    assert!(Config::load(&public, none()).unwrap_err().to_string().contains("must be loopback with --dev"));
}

#[test]
fn a_key_id_names_exactly_one_key_and_a_short_secret_is_refused() {
    let twice = format!("{TLS}{TENANT}{}", TENANT.replace("acme", "other"));
    assert!(load(&twice, &[], &[]).unwrap_err().contains("is used at duet.toml:6 already"));
    let short = format!("{TLS}{}", TENANT.replace("0123456789abcdef0123456789abcdef", "hunter2"));
    let error = load(&short, &[], &[]).unwrap_err();
    assert!(error.contains("at least 32 bytes") && !error.contains("hunter2"), "{error}");
    let other = format!("{TLS}{}", TENANT.replace("HS256", "none"));
    assert!(load(&other, &[], &[]).unwrap_err().contains("must be HS256 or ES256"));
}

#[test]
fn no_secret_is_described_or_printed_for_debugging() {
    let config = load(&format!("{TLS}{TENANT}"), &[], &[]).unwrap();
    let shown = format!("{:?} {config:?}", config.describe());
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
    assert!(shown.contains("k1 (HS256)"));
}

#[test]
fn every_key_is_asked_for() {
    let config = load(&format!("{TLS}{TENANT}"), &[], &[]).unwrap();
    let described: Vec<String> = config.describe().into_iter().map(|(key, ..)| key).collect();
    for key in KEYS {
        assert!(described.iter().any(|name| name == key.name), "{} is never read", key.name);
    }
}

#[test]
fn a_path_in_the_file_is_relative_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let text = format!(
        "{TLS}{}",
        TENANT.replace("secret = \"0123456789abcdef0123456789abcdef\"", "secret_file = \"secret\"")
    );
    fs::write(dir.path().join("d.toml"), text).unwrap();
    let arguments = Arguments { file: Some(dir.path().join("d.toml")), ..Arguments::default() };
    let config = Config::load(&arguments, std::iter::empty()).unwrap();
    let secret = b"0123456789abcdef0123456789abcdef".to_vec();
    assert_eq!(config.tenants[0].keys[0].material, KeyMaterial::Hs256 { secret });
    assert_eq!(config.tls.unwrap().certificate, dir.path().join("c.pem"));
}

#[test]
fn every_key_is_documented_as_it_is() {
    let document = include_str!("../../docs/operations.md");
    for key in KEYS {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let row = format!("| `{}` | {default} | {} |", key.name, key.about);
        assert!(document.lines().any(|line| line == row), "docs/operations.md should have\n{row}");
    }
    for key in TENANT_KEYS.iter().chain(TENANT_KEY_KEYS).chain(TENANT_ISSUER_KEYS) {
        let row = format!("| `{}` | {} |", key.name, key.about);
        assert!(document.lines().any(|line| line == row), "docs/operations.md should have\n{row}");
    }
}

#[test]
fn the_documented_sample_is_a_configuration() {
    let document = include_str!("../../docs/operations.md");
    let sample = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("acme-2026.pub.pem"), "a key").unwrap();
    fs::write(dir.path().join("shop-1.secret"), "0123456789abcdef0123456789abcdef").unwrap();
    fs::write(dir.path().join("duet.toml"), sample).unwrap();
    let file = Some(dir.path().join("duet.toml"));
    let config =
        Config::load(&Arguments { file, serving: true, ..Arguments::default() }, std::iter::empty()).unwrap();
    assert_eq!(config.tenants.len(), 2);
}

#[test]
fn the_sample_file_has_every_key_at_its_default() {
    let mut source = Source::default();
    source.read_file("duet.toml".into(), include_str!("../../docs/duet.toml")).unwrap();
    let sample = check::check(&source, false, false).unwrap();
    let defaults = check::check(&Source::default(), false, false).unwrap();
    assert_eq!(source.settings.len(), KEYS.len());
    for ((key, value, _), (_, default, _)) in sample.describe().iter().zip(defaults.describe()) {
        assert_eq!(*value, default, "{key}");
    }
}

const PAIR: &str = "[pair]\nside = \"b\"\ncluster = \"000102030405060708090a0b0c0d0e0f\"\npeer = \"a.example:4434\"\nca_file = \"ca.pem\"\ncertificate_file = \"b.pem\"\nkey_file = \"b.key\"\nclient_endpoints = [\"a.example:4433\", \"b.example:4433\"]\n";

#[test]
fn a_node_of_a_pair_is_told_what_it_lacks() {
    let pair = load(&format!("{TLS}{TENANT}{PAIR}"), &[], &[]).unwrap().pair.unwrap();
    assert_eq!((pair.side, pair.peer_endpoint()), (crate::core::Side::B, "a.example:4433"));
    assert!(load(&format!("{TLS}{TENANT}"), &[], &[]).unwrap().pair.is_none());
    for key in ["cluster", "peer", "ca_file", "certificate_file", "key_file", "client_endpoints"] {
        let without: String =
            PAIR.lines().filter(|line| !line.starts_with(key)).flat_map(|line| [line, "\n"]).collect();
        let error = load(&format!("{TLS}{TENANT}{without}"), &[], &[]).unwrap_err();
        assert!(error.contains(&format!("pair.{key}")) && error.contains("is required"), "{key}: {error}");
    }
    for (key, wrong) in [
        ("pair.side", "c"),
        ("pair.cluster", "0001"),
        ("pair.listen", "4434"),
        ("pair.peer", "a.example"),
        ("pair.client_endpoints", "a.example"),
        ("pair.client_endpoints", "a.example:1,b.example:1,c.example:1"),
        ("pair.policy", "alone"),
    ] {
        let error = load(&format!("{TLS}{TENANT}{PAIR}"), &[], &[(key, wrong)]).unwrap_err();
        assert!(error.contains(key), "{key} = {wrong}: {error}");
    }
}

#[test]
fn what_a_pair_is_minted_with_can_be_appended_to_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let both = |port| [format!("a.example:{port}"), format!("b.example:{port}")];
    let plan = crate::peer::PairPlan { peers: both(5_001), clients: both(5_002), witness: None };
    let cluster = crate::peer::init(dir.path(), &plan).unwrap().cluster;
    for (side, peer) in [("a", "b.example:5001"), ("b", "a.example:5001")] {
        let section = fs::read_to_string(dir.path().join(format!("{side}.toml"))).unwrap();
        let file = dir.path().join("duet.toml");
        fs::write(&file, format!("{TLS}{TENANT}{section}")).unwrap();
        let arguments = Arguments { file: Some(file), serving: true, ..Arguments::default() };
        let pair = Config::load(&arguments, std::iter::empty()).unwrap().pair.unwrap();
        assert_eq!((pair.cluster, pair.side.to_string(), &*pair.peer), (cluster, side.to_owned(), peer));
        assert_eq!(pair.listen.port(), 5_001);
        assert_eq!(pair.client_endpoints, both(5_002));
        let member = crate::peer::Member::Node(pair.side);
        crate::peer::Identity::load(&pair.identity, cluster, member).unwrap();
        assert_eq!(fs::read(pair.shared_key_file.unwrap()).unwrap().len(), crate::peer::SHARED_KEY_BYTES);
    }
}
