//! A forward proxy in twenty lines: the whole of it, with a configuration in the program.
//!
//! ```text
//! cargo run -p proxyd-examples --bin tiny_forward
//! curl -x http://127.0.0.1:3129 https://example.com/
//! curl -x http://127.0.0.1:3129 http://169.254.169.254/     # 403: the guard
//! ```

use proxyd::Program;
use proxyd::config::{self, Overrides};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = serde_json::json!({
        "listeners": {"forward": {"address": "127.0.0.1:3129", "role": "forward"}},
        "forward": {"connect_ports": [443, 8443]},
        "filter": {"block_domains": ["ads.example"]},
        "log": {"access": {"format": "combined"}},
    });
    let config = config::from_raw("tiny_forward", &config, &Overrides::default())?;
    Program::new().serve(&config)?;
    Ok(())
}
