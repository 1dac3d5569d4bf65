//! Files, environment and command line laid over each other.

use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider};
use serde_json::Value;

use super::diagnostic::{Diagnostic, Place};
use super::origin::Origins;
use super::path::{KeyPath, Step};
use super::schema;
use super::source::SourceFile;
use crate::extensions::Extensions;

/// The prefix of the environment variables that override. The underscore is
/// double, since Kubernetes sets `PROXYD_SERVICE_HOST` on its own.
const PREFIX: &str = "PROXYD__";

/// What is laid over the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Environment variables; those that do not begin with `PROXYD__` are none
    /// of ours.
    pub environment: Vec<(String, String)>,
    /// What the command line says.
    pub arguments: Vec<Argument>,
    /// The layers of others that `[extensions]` may configure.
    pub extensions: Extensions,
}

impl Overrides {
    /// The environment of this process.
    pub fn from_environment() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        let environment = std::env::vars_os().filter_map(text);
        let environment = environment.filter(|(name, _)| name.starts_with(PREFIX)).collect();
        Self { environment, ..Self::default() }
    }
}

/// An option of the command line, as the key that it sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// The option.
    pub option: String,
    /// What it is about.
    pub path: KeyPath,
    /// What it does there.
    pub change: Change,
}

/// What an option does to a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Sets it.
    Set(Value),
    /// Takes it away.
    Remove,
    /// Nothing: what it says stands there already, in what the mode or another option sets. That
    /// is where it is from.
    Told,
}

/// A merged configuration and where its values came from.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    pub(super) value: Value,
    pub(super) origins: Origins,
}

/// One layer: a name and what it says.
struct Layer(String, Value);

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = figment::value::Value::serialize(&self.1)?;
        let dict = value.into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// Lays a base that no file says, the files, the environment and the command
/// line over each other, in this order.
pub(super) fn merge(
    base: Option<(&'static str, &Value)>,
    files: Vec<SourceFile>,
    overrides: &Overrides,
) -> Result<Merged, Vec<Diagnostic>> {
    let mut origins = Origins::default();
    let mut errors = Vec::new();
    let mut figment = Figment::new();
    if let Some((name, value)) = base {
        origins.note(&KeyPath::root(), value, &Place::BuiltIn(name));
        figment = figment.merge(Layer(name.to_owned(), value.clone()));
    }
    for file in files {
        figment = figment.admerge(Layer(file.path.display().to_string(), file.tree.to_value()));
        errors.extend(origins.add(file));
    }
    let written = extract(&figment, &mut errors);
    let mut environment: Vec<_> = overrides.environment.iter().collect();
    environment.sort();
    for (name, text) in environment {
        let Some(keys) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let place = Place::Environment(name.clone());
        let path = environment_path(keys, &written);
        let value = environment_value(&path, text);
        figment = figment.merge(Layer(name.clone(), nest(&path, value.clone())));
        origins.replace(&path, Some(&value), &place);
    }
    for argument in &overrides.arguments {
        let place = Place::CommandLine(argument.option.clone());
        match &argument.change {
            Change::Set(value) => {
                let layer = nest(&argument.path, value.clone());
                figment = figment.merge(Layer(argument.option.clone(), layer));
                origins.replace(&argument.path, Some(value), &place);
            }
            Change::Remove => origins.replace(&argument.path, None, &place),
            Change::Told => origins.credit(&argument.path, &place),
        }
    }
    let mut value = extract(&figment, &mut errors);
    let removed = |argument: &&Argument| argument.change == Change::Remove;
    for argument in overrides.arguments.iter().filter(removed) {
        argument.path.prune(&mut value);
    }
    if errors.is_empty() { Ok(Merged { value, origins }) } else { Err(errors) }
}

fn extract(figment: &Figment, errors: &mut Vec<Diagnostic>) -> Value {
    figment.extract().unwrap_or_else(|error| {
        errors.push(Diagnostic::error(&KeyPath::root(), error.to_string()));
        Value::Null
    })
}

/// The path that a variable names. Names of listeners and upstreams are met
/// without regard to case, `-` as `_`, since a variable's name has neither.
fn environment_path(keys: &str, written: &Value) -> KeyPath {
    let mut path = KeyPath::root();
    let mut here = Some(written);
    for key in keys.split("__") {
        let key = key.to_lowercase();
        let folded = |known: &str| known.to_lowercase().replace('-', "_");
        let known = here.and_then(Value::as_object).and_then(|table| {
            let exact = table.get_key_value(&key);
            exact.or_else(|| table.iter().find(|(known, _)| folded(known) == folded(&key)))
        });
        path = path.key(known.map_or(key.as_str(), |(known, _)| known));
        here = known.map(|(_, value)| value);
    }
    path
}

/// What a variable says: text where the key takes only text, else a number,
/// true, false, `[a, b]`, `{a=b}` or text.
fn environment_value(path: &KeyPath, text: &str) -> Value {
    if schema::is_text(path) {
        return Value::from(text);
    }
    let value: figment::value::Value = text.parse().unwrap_or_else(|never| match never {});
    value.deserialize().unwrap_or_else(|_| Value::from(text))
}

fn nest(path: &KeyPath, value: Value) -> Value {
    path.steps().iter().rev().fold(value, |value, step| match step {
        Step::Key(key) => Value::Object([(key.clone(), value)].into_iter().collect()),
        Step::Index(_) => Value::Array(vec![value]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &Value, environment: &[(&str, &str)], arguments: Vec<Argument>) -> Merged {
        let environment = environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let environment = environment.collect();
        let overrides = Overrides { environment, arguments, ..Overrides::default() };
        merge(Some(("base", base)), Vec::new(), &overrides).unwrap()
    }

    #[test]
    fn the_environment_overrides_by_key() {
        let base = serde_json::json!({
            "listeners": {"my-Web": {"address": "a", "role": "gateway", "allow_clients": ["x"]}},
        });
        let merged = merged(
            &base,
            &[
                ("PROXYD__LISTENERS__MY_WEB__ADDRESS", "[::1]:8080"),
                ("PROXYD__LISTENERS__MY_WEB__ALLOW_CLIENTS", "[10.0.0.0/8, ::1]"),
                ("PROXYD__SERVER__WORKERS", "4"),
                ("PROXYD__SERVER__VIA_NAME", "12"),
                ("PROXYD__SERVER__PATH__MERGE_SLASHES", "true"),
                ("PROXYD_SERVICE_HOST", "10.0.0.1"),
            ],
            Vec::new(),
        );
        assert_eq!(
            merged.value,
            serde_json::json!({
                "listeners": {"my-Web": {
                    "address": "[::1]:8080",
                    "role": "gateway",
                    "allow_clients": ["10.0.0.0/8", "::1"],
                }},
                "server": {"workers": 4, "via_name": "12", "path": {"merge_slashes": true}},
            })
        );
        let clients = KeyPath::of("listeners.my-Web.allow_clients");
        let place = Place::Environment("PROXYD__LISTENERS__MY_WEB__ALLOW_CLIENTS".to_owned());
        assert_eq!(merged.origins.exact(&clients.index(0)), Some(place));
        let role = KeyPath::of("listeners.my-Web.role");
        assert_eq!(merged.origins.exact(&role), Some(Place::BuiltIn("base")));
    }

    #[test]
    fn the_command_line_overrides_the_environment_and_can_take_away() {
        let base = serde_json::json!({"admin": {"address": "a"}});
        let argument = |path: &str, change: Change| Argument {
            option: "--x".to_owned(),
            path: KeyPath::of(path),
            change,
        };
        let merged = merged(
            &base,
            &[("PROXYD__SERVER__WORKERS", "4")],
            vec![
                argument("server.workers", Change::Set(2.into())),
                argument("admin", Change::Remove),
            ],
        );
        assert_eq!(merged.value, serde_json::json!({"server": {"workers": 2}}));
        let place = merged.origins.exact(&KeyPath::of("server.workers"));
        assert_eq!(place, Some(Place::CommandLine("--x".to_owned())));
        assert_eq!(merged.origins.exact(&KeyPath::of("admin.address")), None);
    }
}
