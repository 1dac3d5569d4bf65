//! The filter: lists read, rules compiled.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proxy_core::{NamePattern, SystemClock};
use proxy_filter::domains::{DomainList, DomainLists, DomainSet, ListHandle, Purpose};
use proxy_filter::rules::{ActionSpec, MatchSpec, Mode, Resources, RuleSpec};
use proxy_filter::{Asked, Limit, Rules};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{
    self, Config, FieldMatch, FilterDefault, Port, RuleAction, RuleMatch, RuleMode,
};
use crate::config::resolved::{Filter, ListFile};
use crate::files::Stamp;

/// A list of one key: each file by itself, and the names that are written in line.
pub(super) type Read = Vec<(Purpose, ListHandle)>;

impl Resolver<'_> {
    pub(super) fn filter(&mut self, config: &Config) -> Filter {
        let raw = &config.filter;
        let path = KeyPath::of("filter");
        let mut files = Vec::new();
        let block = path.key("block_domains");
        let mut lists = self.names(&block, &raw.block_domains, Purpose::Block, &mut files);
        let except = path.key("block_exceptions");
        lists.extend(self.names(&except, &raw.block_exceptions, Purpose::Except, &mut files));
        if raw.block_domains.is_empty() && !raw.block_exceptions.is_empty() {
            self.warning(&except, "has no effect without `block_domains`");
        }
        let only = KeyPath::of("forward.only_domains");
        let only = self.names(&only, &config.forward.only_domains, Purpose::Only, &mut files);
        let together = |lists: &Read| {
            lists
                .iter()
                .fold(DomainLists::new(), |all, (purpose, list)| all.with(*purpose, list.clone()))
        };
        let rules = self.rules(&path.key("rules"), config);
        let deny_by_default = raw.default == FilterDefault::Deny;
        if deny_by_default && !raw.rules.iter().any(|rule| rule.action == RuleAction::Allow) {
            let message = "no rule allows anything, so that every request is refused";
            self.warning(&path.key("default"), message);
        }
        Filter {
            lists: together(&lists),
            forward_lists: together(&lists.into_iter().chain(only).collect()),
            files,
            rules,
            deny_by_default,
        }
    }

    /// The names of one key.
    pub(super) fn names(
        &mut self,
        path: &KeyPath,
        items: &[String],
        purpose: Purpose,
        files: &mut Vec<ListFile>,
    ) -> Read {
        let mut patterns: Vec<NamePattern> = Vec::new();
        let mut read = Read::new();
        for (index, item) in items.iter().enumerate() {
            let path = path.index(index);
            let Some(file) = item.strip_prefix('@') else {
                patterns.extend(self.take(&path, item.parse()));
                continue;
            };
            let list = self.list_file(&path, file);
            let Some((path, stamp, list)) = list else { continue };
            let list = ListHandle::new(&item[1..], list);
            files.push(ListFile { path, stamp, list: list.clone() });
            read.push((purpose, list));
        }
        if !patterns.is_empty() {
            let names: DomainSet = patterns.into_iter().collect();
            let key = path.last_key().unwrap_or_default();
            read.push((purpose, ListHandle::new(key, names.into())));
        }
        read
    }

    /// The list of a file. What is wrong in it names the file and the line.
    fn list_file(&mut self, path: &KeyPath, file: &str) -> Option<(PathBuf, Stamp, DomainList)> {
        if file.is_empty() {
            self.error(path, "expected the path of a file after `@`");
            return None;
        }
        let file = self.origins.folder(path).join(file);
        let stamp = Stamp::of(&file);
        let read = DomainList::open(&file).map_err(|error| {
            let what = match &error {
                proxy_filter::domains::ListError::Read(error) => {
                    format!("cannot read: {}", super::plain(error))
                }
                error => error.to_string(),
            };
            format!("{}: {what}", file.display())
        });
        let list = self.take(path, read)?;
        for mistake in &list.mistakes {
            let message =
                format!("{}:{}: skipped: {}", file.display(), mistake.line, mistake.error);
            self.warning(path, message);
        }
        let more = list.bad_lines - list.mistakes.len();
        if more > 0 {
            let message = format!("{}: {more} more lines are skipped", file.display());
            self.warning(path, message);
        }
        if list.is_empty() {
            self.warning(path, format!("{}: no names in it", file.display()));
        }
        Some((file, stamp, list))
    }

    fn rules(&mut self, path: &KeyPath, config: &Config) -> Vec<RuleSpec> {
        let (listeners, routes) = (self.declared("listeners"), route_names(config));
        let mut specs = Vec::new();
        for (index, rule) in config.filter.rules.iter().enumerate() {
            let path = path.index(index);
            let matches = path.key("match");
            for (kind, key, names, known) in [
                ("listener", "listeners", &rule.matches.listeners, &listeners),
                ("route", "routes", &rule.matches.routes, &routes),
            ] {
                for (at, name) in names.iter().enumerate().filter(|(_, n)| !known.contains(n)) {
                    self.unknown(&matches.key(key).index(at), kind, name, known);
                }
            }
            let action = self.rule_action(&path, rule);
            let mode = match rule.mode {
                RuleMode::Enforce => Mode::Enforce,
                RuleMode::Report => Mode::Report,
            };
            let matches = match_spec(&rule.matches);
            specs.push(RuleSpec { id: rule.id.clone(), matches, action, mode });
        }
        let mut resources = Resources::new(Arc::new(SystemClock));
        resources.limits = limits(config);
        if let Err(errors) = Rules::compile(&specs, &resources) {
            for error in errors {
                let path = path.index(error.index).within(&error.key);
                self.error(&path, error.message);
            }
        }
        specs
    }

    /// The action with what belongs to it. What is missing is told, and so is what belongs to
    /// another.
    fn rule_action(&mut self, path: &KeyPath, rule: &raw::Rule) -> ActionSpec {
        let takes: &[&str] = match rule.action {
            RuleAction::Allow => &[],
            RuleAction::Deny => &["status", "page"],
            RuleAction::Redirect => &["to", "status"],
            RuleAction::Tag => &["tag"],
            RuleAction::SetField => &["field", "value"],
            RuleAction::RateLimit => &["limit"],
        };
        for (key, given) in [
            ("status", rule.status.is_some()),
            ("page", rule.page.is_some()),
            ("to", rule.to.is_some()),
            ("tag", rule.tag.is_some()),
            ("field", rule.field.is_some()),
            ("value", rule.value.is_some()),
            ("limit", rule.limit.is_some()),
        ] {
            if given && !takes.contains(&key) {
                self.error_on_key(&path.key(key), "says nothing to this action");
            }
        }
        let mut need = |key: &str, value: &Option<String>| {
            if value.is_none() {
                let message = format!("missing key `{key}`, which this action needs");
                self.error_on_key(path, message);
            }
            value.clone()
        };
        match rule.action {
            RuleAction::Allow => ActionSpec::Allow,
            RuleAction::Deny => {
                ActionSpec::Deny { status: rule.status.unwrap_or(403), page: rule.page.clone() }
            }
            RuleAction::Redirect => ActionSpec::Redirect {
                to: need("to", &rule.to).unwrap_or_else(|| "/".to_owned()),
                status: rule.status.unwrap_or(302),
            },
            RuleAction::Tag => {
                ActionSpec::Tag(need("tag", &rule.tag).unwrap_or_else(|| "tag".to_owned()))
            }
            RuleAction::SetField => ActionSpec::SetField {
                name: need("field", &rule.field).unwrap_or_else(|| "x".to_owned()),
                value: need("value", &rule.value).unwrap_or_default(),
            },
            RuleAction::RateLimit => match need("limit", &rule.limit) {
                Some(limit) => ActionSpec::RateLimit(limit),
                None => ActionSpec::Allow,
            },
        }
    }
}

/// The limits that rules may name; here they only stand for themselves.
fn limits(config: &Config) -> BTreeMap<String, Arc<dyn Limit>> {
    let limit = |own: &raw::RateLimit| {
        let limit: Arc<dyn Limit> = Arc::new(|_: &Asked<'_>| Ok(()));
        (own.id.clone(), limit)
    };
    config.filter.rate_limits.iter().map(limit).collect()
}

fn route_names(config: &Config) -> Vec<String> {
    config.routes.iter().map(|route| route.name.clone()).collect()
}

fn match_spec(raw: &RuleMatch) -> MatchSpec {
    let tests = |tests: &BTreeMap<String, FieldMatch>| {
        tests.iter().map(|(name, own)| (name.clone(), own.test())).collect()
    };
    let port = |port: &Port| match port {
        Port::One(port) => port.to_string(),
        Port::Range(range) => range.clone(),
    };
    MatchSpec {
        hosts: raw.hosts.clone(),
        paths: raw.paths.clone(),
        path_prefixes: raw.path_prefixes.clone(),
        path_regex: raw.path_regex.clone(),
        methods: raw.methods.clone(),
        schemes: raw.schemes.iter().map(|own| own.word().to_owned()).collect(),
        fields: tests(&raw.fields),
        query: tests(&raw.query),
        ports: raw.ports.iter().map(port).collect(),
        listeners: raw.listeners.clone(),
        clients: raw.clients.clone(),
        users: raw.users.clone(),
        client_certificates: raw.client_certificates.clone(),
        routes: raw.routes.clone(),
        tags: raw.tags.clone(),
        times: raw.times.clone(),
    }
}
