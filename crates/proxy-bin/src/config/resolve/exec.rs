//! Programs: found, their parameters typed, and everything checked that they check themselves.

use std::env::VarError;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use proxy_exec::params::{Kind, MAX_LENGTH, Param, Params, PathPattern, Source, Template};
use proxy_exec::{CgroupLimits, Confinement, Directory, ExecConfig, Origins, Stderr};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Bound, CacheSwitch, Config, ParamDefault, ParamSource, ParamType};
use crate::config::units::{Limit, Period, Size};

impl Resolver<'_> {
    /// The program of a route.
    pub(super) fn route_exec(&mut self, config: &Config, index: usize) -> Option<ExecConfig> {
        let route = &config.routes[index];
        let raw = route.exec.as_ref()?;
        let path = KeyPath::of("routes").index(index).key("exec");
        let mut exec = ExecConfig::new(&self.program(&path.key("program"), &raw.program));
        exec.name = Arc::from(route.name.as_str());
        exec.args = self.templates(&path.key("args"), &raw.args);
        for (at, name) in raw.pass_env.iter().enumerate() {
            match std::env::var(name) {
                Ok(value) => {
                    exec.env.retain(|(known, _)| known != name);
                    exec.env.push((name.clone(), Template::literal(&value)));
                }
                Err(VarError::NotPresent) => {}
                Err(VarError::NotUnicode(_)) => {
                    let message = "its value is no UTF-8, and is not passed";
                    self.warning(&path.key("pass_env").index(at), message);
                }
            }
        }
        for (name, value) in &raw.env {
            if let Some(value) = self.take(&path.key("env").key(name), Template::parse(value)) {
                exec.env.retain(|(known, _)| known != name);
                exec.env.push((name.clone(), value));
            }
        }
        let pattern = raw.path.as_ref().and_then(|text| {
            let pattern = PathPattern::parse(text);
            if pattern.is_none() {
                let message = "expected a path whose segments may be names, such as /clips/{id}";
                self.error(&path.key("path"), message);
            }
            pattern
        });
        let params: Vec<(String, Param)> = raw
            .params
            .iter()
            .filter_map(|(name, param)| {
                let mut param = self.param(&path.key("params").key(name), param)?;
                param.secret |= is_redacted(config, name, &param);
                Some((name.clone(), param))
            })
            .collect();
        let whole = params.len() == raw.params.len();
        let words = || exec.args.iter().chain(exec.env.iter().map(|(_, word)| word));
        let is_seen = |name: &str| words().any(|word| word.names().any(|(_, own)| own == name));
        for (name, param) in &params {
            if matches!(param.kind, Kind::Url) && (!param.fetch || is_seen(name)) {
                let message = "the program fetches the URL by itself: whatever this machine \
                               reaches, clients reach; with `fetch = true`, and no placeholder, \
                               it gets what the proxy has fetched";
                self.warning(&path.key("params").key(name), message);
            }
        }
        exec.params = Params::new(params, pattern);
        exec.directory = self.directory(&path, raw);
        exec.stdin = raw.stdin;
        exec.cgi = raw.cgi;
        exec.stderr = match raw.stderr {
            raw::ExecStderr::Log => Stderr::Log,
            raw::ExecStderr::Merge => Stderr::Merge,
            raw::ExecStderr::Frames => Stderr::Frames,
            raw::ExecStderr::Discard => Stderr::Discard,
        };
        if let Some(text) = &raw.content_type {
            let value = HeaderValue::from_str(text).map_err(|_| "expected a media type");
            exec.content_type = self.take(&path.key("content_type"), value)?;
        }
        if let Some(statuses) = &raw.success_statuses {
            exec.success = statuses.iter().map(|status| i32::from(*status)).collect();
        }
        exec.origins = match raw.origins.as_slice() {
            [] => Origins::Same,
            list if list.iter().any(|origin| origin == "*") => Origins::Any,
            list => Origins::Listed(list.iter().map(|origin| origin.as_str().into()).collect()),
        };
        exec.any_host = !route.matches.hosts.is_empty();
        if let Some(umask) = &raw.umask {
            let mask = u32::from_str_radix(umask, 8).ok().filter(|mask| *mask <= 0o777);
            exec.umask = self.take(&path.key("umask"), mask.ok_or("expected octal digits"))?;
        }
        exec.nice = i32::from(raw.nice);
        (exec.uid, exec.gid) = (raw.uid, raw.gid);
        self.exec_timeouts(&path.key("timeouts"), &raw.timeouts, &mut exec);
        exec_limits(&raw.limits, &mut exec);
        self.sandbox(&path.key("sandbox"), raw.sandbox.as_ref(), &mut exec.confine);
        self.cgroup(config, &path.key("cgroup"), raw.cgroup.as_ref(), &mut exec.confine);
        if whole {
            for (place, message) in exec.check() {
                self.error(&path.within(&place), message);
            }
        }
        self.exec_cache(config, index, raw);
        Some(exec)
    }

    /// What can not be said of a cache of a program's output.
    fn exec_cache(&mut self, config: &Config, index: usize, raw: &raw::Exec) {
        let own = KeyPath::of("routes").index(index).key("cache");
        let (cache, path) = match (&config.routes[index].cache, &config.defaults.cache) {
            (Some(cache), _) => (cache, own.clone()),
            (None, Some(cache)) => (cache, KeyPath::of("defaults.cache")),
            (None, None) => return,
        };
        if matches!(cache, CacheSwitch::Is(false)) {
            return;
        }
        if raw.cgi {
            let message = "the program sees who asks: what it writes for one is not for another; \
                           say `cache = false` for the route";
            self.error_on_key(&path, message);
        }
        let params = KeyPath::of("routes").index(index).key("exec").key("params");
        for (name, _) in raw.params.iter().filter(|(_, param)| {
            param.secret && matches!(param.source, ParamSource::Query | ParamSource::Path)
        }) {
            let message = "the cache would keep the secret in the key of what it stores; take it \
                           from a field, or say `cache = false` for the route";
            self.error_on_key(&params.key(name).key("secret"), message);
        }
        let CacheSwitch::With(rules) = cache else { return };
        // What `[defaults]` says of queries is for routes to upstreams: programs have all of them.
        if path != own {
            return;
        }
        let key = rules.key.as_ref();
        for (key, given) in [
            ("key.query_allow", key.is_some_and(|key| key.query_allow.is_some())),
            ("key.query_deny", key.is_some_and(|key| key.query_deny.is_some())),
            ("slice", rules.slice.is_some()),
        ] {
            if given {
                let message = "the output of a program is stored whole, by its whole query";
                self.error_on_key(&path.within(key), message);
            }
        }
    }

    /// The path of a program; the name where it is not found.
    fn program(&mut self, path: &KeyPath, program: &str) -> String {
        if program.is_empty() {
            self.error(path, "expected the name or the path of a program");
        }
        let found = if program.contains('/') {
            let file = self.absolute(path, program);
            Some(file).filter(|file| file.is_file())
        } else {
            ["/usr/local/bin", "/usr/bin", "/bin"]
                .iter()
                .map(|folder| Path::new(folder).join(program))
                .find(|file| file.is_file())
        };
        match found {
            // Its own name: some programs are several by it.
            Some(file) if program.contains('/') => {
                if file.metadata().is_ok_and(|own| own.permissions().mode() & 0o111 == 0) {
                    let message = format!("`{program}` may be executed by nobody (`chmod +x`)");
                    self.warning(path, message);
                }
                file.to_string_lossy().into_owned()
            }
            Some(_) => program.to_owned(),
            None => {
                self.warning(path, format!("no program `{program}` is there now"));
                match program.contains('/') {
                    true => self.absolute(path, program).to_string_lossy().into_owned(),
                    false => program.to_owned(),
                }
            }
        }
    }

    fn absolute(&self, path: &KeyPath, file: &str) -> PathBuf {
        let file = self.origins.folder(path).join(file);
        std::path::absolute(&file).unwrap_or(file)
    }

    fn templates(&mut self, path: &KeyPath, words: &[String]) -> Vec<Template> {
        let words = words.iter().enumerate();
        words
            .filter_map(|(index, word)| self.take(&path.index(index), Template::parse(word)))
            .collect()
    }

    fn directory(&mut self, path: &KeyPath, raw: &raw::Exec) -> Directory {
        match raw.directory.as_deref() {
            Some("fresh") => Directory::Fresh(std::env::temp_dir()),
            Some(folder) => {
                let key = path.key("directory");
                let folder = self.absolute(&key, folder);
                if !folder.is_dir() {
                    self.error(&key, format!("{} is not a folder", folder.display()));
                }
                Directory::Fixed(folder)
            }
            None => Directory::Fixed(self.absolute(&path.key("program"), ".")),
        }
    }

    fn param(&mut self, path: &KeyPath, raw: &raw::Param) -> Option<Param> {
        let source = match raw.source {
            ParamSource::Query => Source::Query,
            ParamSource::Path => Source::Path,
            ParamSource::Field => Source::Field,
            ParamSource::Form => Source::Form,
            ParamSource::Json => Source::Json,
        };
        let kind = self.kind(path, raw)?;
        if raw.secret && raw.source == ParamSource::Path {
            let message = "paths are in every log; take the secret from a field";
            self.error_on_key(&path.key("secret"), message);
        }
        let mut param = Param::new(source, kind);
        param.wire_name = raw.name.as_deref().map(Into::into);
        param.default = raw.default.as_ref().map(|default| match default {
            ParamDefault::Boolean(truth) => truth.to_string().into(),
            ParamDefault::Integer(number) => number.to_string().into(),
            ParamDefault::Number(number) => number.to_string().into(),
            ParamDefault::String(text) => text.as_str().into(),
        });
        match (raw.required, &param.default) {
            (Some(true), Some(_)) => {
                self.error(&path.key("required"), "a parameter with a default is not required");
            }
            (Some(false), None) => {
                let message = "what is not required needs a `default`: no word is left out";
                self.error(&path.key("required"), message);
            }
            _ => {}
        }
        param.secret = raw.secret;
        param.fetch = raw.fetch;
        param.allow_dash = raw.allow_dash;
        let never = match param.kind {
            Kind::Integer { max, .. } => max < 0,
            Kind::Number { max, .. } => max < 0.0,
            _ => false,
        };
        if never && !raw.allow_dash {
            let message = "all of its values begin with `-`, which is refused: `allow_dash`";
            self.error(path, message);
        }
        param.max_length =
            raw.max_length.map_or(MAX_LENGTH, |most| usize::try_from(most).unwrap_or(MAX_LENGTH));
        Some(param)
    }

    fn kind(&mut self, path: &KeyPath, raw: &raw::Param) -> Option<Kind> {
        let number = matches!(raw.kind, ParamType::Integer | ParamType::Number);
        for (key, given, fits) in [
            ("min", raw.min.is_some(), number),
            ("max", raw.max.is_some(), number),
            ("pattern", raw.pattern.is_some(), raw.kind == ParamType::String),
            (
                "values",
                raw.values.is_some(),
                matches!(raw.kind, ParamType::String | ParamType::Enum),
            ),
            ("root", raw.root.is_some(), raw.kind == ParamType::Path),
        ] {
            if given && !fits {
                self.error_on_key(&path.key(key), "the type of this parameter has no such key");
            }
        }
        Some(match raw.kind {
            ParamType::Integer => Kind::Integer {
                min: raw.min.map_or(i64::MIN, |min| min.integer(f64::ceil)),
                max: raw.max.map_or(i64::MAX, |max| max.integer(f64::floor)),
            },
            ParamType::Number => Kind::Number {
                min: raw.min.map_or(f64::MIN, Bound::number),
                max: raw.max.map_or(f64::MAX, Bound::number),
            },
            ParamType::Boolean => Kind::Boolean,
            ParamType::Url => Kind::Url,
            ParamType::Path => {
                let Some(root) = &raw.root else {
                    self.error(path, "a path needs the folder that it stays in: `root`");
                    return None;
                };
                let key = path.key("root");
                let root = self.absolute(&key, root);
                if !root.is_dir() {
                    self.error(&key, format!("{} is not a folder", root.display()));
                }
                Kind::Path { root }
            }
            ParamType::String | ParamType::Enum => match (&raw.pattern, &raw.values) {
                (Some(pattern), None) => {
                    return self.take(&path.key("pattern"), Kind::pattern(pattern));
                }
                (None, Some(values)) if !values.is_empty() => {
                    Kind::Choice(values.iter().map(|value| value.as_str().into()).collect())
                }
                _ => {
                    let message = match raw.kind {
                        ParamType::Enum => "an enum needs its `values`",
                        _ => "a string needs a `pattern` or `values`",
                    };
                    self.error(path, message);
                    return None;
                }
            },
        })
    }

    fn exec_timeouts(&mut self, path: &KeyPath, raw: &raw::ExecTimeouts, exec: &mut ExecConfig) {
        let times = &mut exec.timeouts;
        let mut set = |key: &str, period: Option<Period>, time: &mut Duration| {
            if let Some(period) = period {
                *time = self.period(&path.key(key), period);
            }
        };
        set("queue", raw.queue, &mut times.queue);
        set("start", raw.start, &mut times.start);
        set("fetch", raw.fetch, &mut times.fetch);
        set("kill_after", raw.kill_after, &mut times.kill_after);
        let mut set = |key: &str, limit: Option<Limit<Period>>, time: &mut Option<Duration>| {
            if let Some(limit) = limit {
                *time = limit.some().map(|period| self.period(&path.key(key), period));
            }
        };
        set("first_byte", raw.first_byte, &mut times.first_byte);
        set("read_idle", raw.read_idle, &mut times.read_idle);
        set("total", raw.total, &mut times.total);
    }

    fn sandbox(
        &mut self,
        path: &KeyPath,
        raw: Option<&raw::ExecSandbox>,
        confine: &mut Confinement,
    ) {
        let Some(raw) = raw else { return };
        confine.no_new_privs = raw.no_new_privs.unwrap_or(true);
        confine.seccomp = raw.seccomp.unwrap_or(true);
        confine.no_network = raw.network == Some(false);
        confine.required = raw.required;
        for (key, paths) in [("read", &raw.read), ("write", &raw.write)] {
            for (index, folder) in paths.iter().flatten().enumerate() {
                if !Path::new(folder).is_absolute() {
                    self.error(&path.key(key).index(index), "expected an absolute path");
                } else if !Path::new(folder).exists() {
                    self.warning(&path.key(key).index(index), "it is not there");
                }
            }
        }
        confine.read.clone_from(&raw.read);
        confine.write.clone_from(&raw.write);
        let support = proxy_exec::support();
        for (asked, has, what) in [
            (confine.uses_landlock(), support.landlock, "landlock"),
            (confine.uses_seccomp(), support.seccomp, "seccomp"),
        ] {
            if asked && !has {
                let message = format!("this kernel has no {what}: that part has no effect here");
                self.has_no_effect(path, confine.required, message);
            }
        }
    }

    fn cgroup(
        &mut self,
        config: &Config,
        path: &KeyPath,
        raw: Option<&raw::ExecCgroup>,
        confine: &mut Confinement,
    ) {
        let Some(raw) = raw else { return };
        let mut limits = CgroupLimits::new();
        limits.folder = config.exec.as_ref().and_then(|own| own.cgroup.as_ref()).map(PathBuf::from);
        limits.memory = raw.memory.map(Size::bytes);
        limits.processes = raw.processes;
        limits.cpu_percent = raw.cpus.map(|cpus| (cpus * 100.0).ceil() as u64);
        if let Err(text) = limits.check() {
            let message = format!("{text}: it has no effect here");
            self.has_no_effect(path, confine.required, message);
        }
        confine.cgroup = Some(limits);
    }

    fn has_no_effect(&mut self, path: &KeyPath, is_required: bool, message: String) {
        match is_required {
            true => self.error_on_key(path, message),
            false => self.warning(path, message),
        }
    }
}

/// Whether no log shows its value: then no command line does. A name that is redacted in queries is
/// so wherever a form, JSON or a path has it.
fn is_redacted(config: &Config, name: &str, param: &Param) -> bool {
    let privacy = &config.privacy;
    if param.source == Source::Field {
        let name = param.wire_name.as_deref().unwrap_or(name);
        return privacy.redact_fields.iter().any(|own| own.eq_ignore_ascii_case(name));
    }
    let name = name.to_lowercase();
    privacy.redact_query.iter().any(|own| own == "*" || own.to_lowercase() == name)
}

fn exec_limits(raw: &raw::ExecLimits, exec: &mut ExecConfig) {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let limits = &mut exec.limits;
    limits.runs = raw.runs.map_or(limits.runs, count);
    limits.queue = raw.queue.map_or(limits.queue, count);
    limits.output = raw.output.map(Size::bytes);
    limits.params = raw.params.map_or(limits.params, Size::bytes);
    limits.fetch = raw.fetch.map_or(limits.fetch, Size::bytes);
    let confine = &mut exec.confine;
    confine.cpu_seconds = raw.cpu.map(|period| period.duration().as_secs().max(1));
    confine.memory = raw.memory.map(Size::bytes);
    confine.open_files = raw.open_files;
    confine.file_size = raw.file_size.map(Size::bytes);
    confine.processes = raw.processes;
}
