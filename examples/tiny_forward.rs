//! A forward proxy in twenty lines: the whole of it, with a configuration in the program.
//!
//! ```text
//! cargo run -p proxyd-examples --bin tiny_forward
//! curl -x http://127.0.0.1:3129 https://example.com/
//! curl -x http://127.0.0.1:3129 http://169.254.169.254/     # 403: the guard
//! ```

use proxyd::Program;
use proxyd::config::{self, Overrides};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = config::from_raw("tiny_forward", &settings(), &Overrides::default())?;
    Program::new().serve(&config)?;
    Ok(())
}

fn settings() -> Value {
    json!({
        "listeners": {"forward": {"address": "127.0.0.1:3129", "role": "forward"}},
        "forward": {"connect_ports": [443, 8443]},
        "filter": {"block_domains": ["ads.example"]},
        "log": {"access": {"format": "combined"}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_settings_are_a_configuration() {
        let found = config::from_raw("tiny_forward", &settings(), &Overrides::default());
        assert!(found.is_ok_and(|own| own.resolved.listeners.len() == 1));
    }
}
