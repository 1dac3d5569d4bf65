//! `proxyd exec`: one program as an HTTP resource, as the configuration that stands for it.

use std::collections::BTreeMap;

use clap::Args;
use proxy_exec::params::{Source, Template};
use serde_json::{Map, Value, json};

use super::EXEC_ADDRESS;
use super::options::{ServeOptions, argument, told, wrong};
use crate::config::{Argument, Diagnostics};

const EXEC_EXAMPLES: &str = "\
Examples:
  proxyd exec --path /now -- date -u
  proxyd exec --path /upper --stdin --content-type text/plain -- tr a-z A-Z
  proxyd exec --path /count --param last=integer:1..1000 --default last=10 -- seq '{query.last}'
  proxyd exec --path /log --stderr frames -- tail -n 20 -F app.log
      curl -N -H 'Accept: text/event-stream' http://127.0.0.1:8080/log
  proxyd exec --listen 127.0.0.1:8081 --path '/thumbs/{file}' --content-type image/png \\
      --param file=path:/srv/pictures -- convert '{path.file}' -resize 320x png:-
  proxyd exec --path /clip --content-type video/mp2t --cache-ttl 10m \\
      --param 'size=string:[0-9]{2,4}x[0-9]{2,4}' --default size=640x360 -- \\
      ffmpeg -loglevel warning -f lavfi -i 'testsrc2=duration=5:size={query.size}' -f mpegts pipe:1

A parameter is NAME=TYPE or NAME=TYPE:RULE, and where it comes from is said by its placeholder:
{query.NAME}, {path.NAME}, {field.NAME}, {form.NAME} or {json.NAME}.
  integer:1..60  number:0..1.5  a range; each end may be left out
  string:PATTERN                a regular expression for the whole value
  enum:a,b,c                    one of these
  path:FOLDER                   something that exists below it
  boolean, url
  NAME='{ type = \"string\", pattern = \"...\", secret = true }'   all keys of a configuration file
There is no shell: each ARG is one word. A brace that is meant as itself is written twice.";

/// `proxyd exec`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXEC_EXAMPLES)]
pub struct ExecMode {
    /// Address to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// The path that runs the program; a segment in braces is a parameter [default: /]
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// A parameter, and what its values are; repeatable
    #[arg(long, value_name = "NAME=TYPE[:RULE]")]
    pub param: Vec<String>,
    /// The value of a parameter that a request does not give; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub default: Vec<String>,
    /// Give the content of the request, a POST, to the program
    #[arg(long)]
    pub stdin: bool,
    /// Media type of the output [default: application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// Standard errors: log, merge, frames or discard [default: log]
    #[arg(long, value_name = "WHERE")]
    pub stderr: Option<String>,
    /// Variable of this environment that the program gets; repeatable
    #[arg(long, value_name = "NAME")]
    pub pass_env: Vec<String>,
    /// Runs at a time [default: 16]
    #[arg(long, value_name = "N")]
    pub runs: Option<u64>,
    /// Keep the output for this long; equal requests share a run
    #[arg(long, value_name = "TIME")]
    pub cache_ttl: Option<String>,
    /// Compress the output
    #[arg(long)]
    pub compress: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, num_args = 1.., value_names = ["PROGRAM", "ARG"])]
    pub command: Vec<String>,
    /// What every command that serves takes.
    #[command(flatten)]
    pub serve: ServeOptions,
}

impl ExecMode {
    pub(super) fn arguments(&self) -> Vec<Argument> {
        let listen = self.listen.as_deref();
        let listen = listen.map(|a| argument("--listen", "listeners.web.address", a));
        let told = [
            ("PROGRAM", "exec.program", true),
            ("ARG", "exec.args", self.command.len() > 1),
            ("--path", "match", self.path.is_some()),
            ("--param", "exec.params", !self.param.is_empty()),
            ("--content-type", "exec.content_type", self.content_type.is_some()),
            ("--stderr", "exec.stderr", self.stderr.is_some()),
            ("--pass-env", "exec.pass_env", !self.pass_env.is_empty()),
            ("--runs", "exec.limits", self.runs.is_some()),
            ("--cache-ttl", "cache", self.cache_ttl.is_some()),
        ]
        .into_iter()
        .filter(|(_, _, given)| *given)
        .map(|(option, key, _)| told(option, &format!("routes[0].{key}")));
        listen.into_iter().chain(told).collect()
    }
}

/// The listener and the one route.
///
/// # Errors
/// What is wrong with `--param` and `--default`; all else is judged as in a file.
pub(super) fn base(mode: &ExecMode) -> Result<Value, Diagnostics> {
    let mut listener = json!({"role": "gateway"});
    if mode.listen.is_none() {
        listener["address"] = EXEC_ADDRESS.into();
    }
    let path = mode.path.as_deref().unwrap_or("/");
    let sources = sources(&mode.command);
    let params = params(mode, &sources)?;
    let (program, args) =
        mode.command.split_first().map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
    // A file that is printed means the same wherever it is put.
    let here = std::env::current_dir().unwrap_or_default();
    let program = match program.contains('/') {
        true => here.join(program).to_string_lossy().into_owned(),
        false => program.to_owned(),
    };
    let mut exec = json!({"program": program, "directory": here.to_string_lossy()});
    let mut set = |key: &str, value: Value, given: bool| {
        if given {
            exec[key] = value;
        }
    };
    set("args", args.into(), !args.is_empty());
    let content = params.values().any(|param| ["form", "json"].iter().any(|s| param["in"] == *s));
    let has_segments = path.contains('{');
    set("path", path.into(), has_segments);
    set("params", json!(params), !params.is_empty());
    set("stdin", true.into(), mode.stdin);
    set("content_type", json!(mode.content_type), mode.content_type.is_some());
    set("stderr", json!(mode.stderr), mode.stderr.is_some());
    set("pass_env", json!(mode.pass_env), !mode.pass_env.is_empty());
    set("limits", json!({"runs": mode.runs}), mode.runs.is_some());
    let methods = if mode.stdin || content { vec!["POST"] } else { vec!["GET", "HEAD"] };
    let matches = match has_segments {
        true => json!({"path_regex": pattern(path), "methods": methods}),
        false => json!({"paths": [path], "methods": methods}),
    };
    let mut route = json!({"name": "program", "match": matches, "exec": exec});
    if let Some(ttl) = &mode.cache_ttl {
        route["cache"] = json!({"ttl": ttl});
    }
    if mode.compress {
        route["compress"] = true.into();
    }
    Ok(json!({"listeners": {"web": listener}, "routes": [route]}))
}

/// What matches the paths of a pattern such as `/clips/{id}`.
fn pattern(path: &str) -> String {
    let segment = |part: &str| match part.starts_with('{') {
        true => "[^/]+".to_owned(),
        false => regex::escape(part),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Where each parameter comes from, by its first placeholder.
fn sources(words: &[String]) -> BTreeMap<String, Source> {
    let mut sources = BTreeMap::new();
    for word in words.iter().skip(1).filter_map(|word| Template::parse(word).ok()) {
        for (source, name) in word.names() {
            sources.entry(name.to_owned()).or_insert(source);
        }
    }
    sources
}

fn params(
    mode: &ExecMode,
    sources: &BTreeMap<String, Source>,
) -> Result<BTreeMap<String, Value>, Diagnostics> {
    let mut found = Vec::new();
    let mut params = BTreeMap::new();
    for text in &mode.param {
        match param(text) {
            Ok((name, _)) if params.contains_key(&name) => {
                found.push(wrong("--param", format!("`{name}` is declared twice")));
            }
            Ok((name, mut param)) => {
                if param.get("in").is_none() {
                    // What is fetched is read, and named by no argument.
                    let query = Some(&Source::Query).filter(|_| param.contains_key("fetch"));
                    let Some(source) = sources.get(&name).or(query) else {
                        let message =
                            format!("no argument has a placeholder such as {{query.{name}}}");
                        found.push(wrong("--param", message));
                        continue;
                    };
                    param.insert("in".to_owned(), source.word().into());
                }
                params.insert(name, Value::Object(param));
            }
            Err(message) => found.push(wrong("--param", message)),
        }
    }
    for text in &mode.default {
        let Some((name, value)) = text.split_once('=') else {
            found.push(wrong("--default", format!("expected NAME=VALUE, found `{text}`")));
            continue;
        };
        match params.get_mut(name) {
            Some(param) => param["default"] = typed(&param["type"], value),
            None => {
                let message = format!("`{name}` is not declared; expected --param {name}=TYPE");
                found.push(wrong("--default", message));
            }
        }
    }
    for (name, source) in sources.iter().filter(|(name, _)| !params.contains_key(*name)) {
        let known = mode.param.iter().any(|text| text.starts_with(&format!("{name}=")));
        if !known {
            let word = source.word();
            let message = format!(
                "the placeholder {{{word}.{name}}} needs a type, such as --param {name}=integer"
            );
            found.push(wrong("exec", message));
        }
    }
    if found.is_empty() { Ok(params) } else { Err(found.into()) }
}

/// The name of a parameter, and its keys but for `in`.
fn param(text: &str) -> Result<(String, Map<String, Value>), String> {
    let expected = || {
        format!(
            "expected NAME=TYPE or NAME=TYPE:RULE, such as `seconds=integer:1..60`, found `{text}`"
        )
    };
    let (name, rest) = text.split_once('=').ok_or_else(expected)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(expected());
    }
    let name = name.to_owned();
    if rest.starts_with('{') {
        return table(rest).map(|param| (name, param));
    }
    let (kind, rule) = rest.split_once(':').map_or((rest, None), |(kind, rule)| (kind, Some(rule)));
    let mut param = Map::from_iter([("type".to_owned(), Value::from(kind))]);
    let mut set = |key: &str, value: Value| param.insert(key.to_owned(), value);
    match (kind, rule) {
        ("integer" | "number", Some(range)) => {
            let (least, most) = range
                .split_once("..")
                .ok_or_else(|| format!("expected a range such as `1..60`, found `{range}`"))?;
            for (key, end) in [("min", least), ("max", most)] {
                if !end.is_empty() {
                    set(
                        key,
                        number(end).ok_or_else(|| format!("expected a number, found `{end}`"))?,
                    );
                }
            }
        }
        ("integer" | "number" | "boolean" | "url", None) => {}
        ("string", Some(pattern)) => {
            set("pattern", pattern.into());
        }
        ("enum", Some(values)) => {
            set("values", values.split(',').collect::<Vec<_>>().into());
        }
        ("path", Some(root)) => {
            let root = std::env::current_dir().unwrap_or_default().join(root);
            set("root", root.to_string_lossy().into());
        }
        ("string", None) => return Err("a string needs a pattern: NAME=string:PATTERN".to_owned()),
        ("enum", None) => return Err("an enum needs its values: NAME=enum:a,b,c".to_owned()),
        ("path", None) => return Err("a path needs a folder: NAME=path:FOLDER".to_owned()),
        ("url", Some("fetch")) => {
            set("fetch", true.into());
        }
        ("url", Some(_)) => return Err("the one rule of a url is `url:fetch`".to_owned()),
        ("boolean", Some(_)) => return Err(format!("the type `{kind}` has no rule")),
        _ => {
            let types = "integer, number, boolean, string, enum, path or url";
            return Err(format!("expected a type, {types}, found `{kind}`"));
        }
    }
    Ok((name, param))
}

/// The keys as a configuration file has them, in one table.
fn table(text: &str) -> Result<Map<String, Value>, String> {
    let document: toml::Table =
        format!("param = {text}").parse().map_err(|error: toml::de::Error| {
            format!("expected a table such as {{ type = \"boolean\" }}: {}", error.message())
        })?;
    match document.get("param").map(serde_json::to_value) {
        Some(Ok(Value::Object(param))) if document.len() == 1 => Ok(param),
        _ => Err("expected one table such as { type = \"boolean\" }".to_owned()),
    }
}

fn number(text: &str) -> Option<Value> {
    let whole = text.parse::<i64>().ok().map(Value::from);
    whole.or_else(|| serde_json::Number::from_f64(text.parse().ok()?).map(Value::Number))
}

/// A value as a file would have it.
fn typed(kind: &Value, text: &str) -> Value {
    let typed = match kind.as_str() {
        Some("integer" | "number") => number(text),
        Some("boolean") => text.parse::<bool>().ok().map(Value::from),
        _ => None,
    };
    typed.unwrap_or_else(|| text.into())
}
