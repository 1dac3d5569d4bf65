//! Inspection: for which routes, and how. Rules are compiled here, so that `check` finds what is
//! wrong with them.

use std::fs;

use proxy_filter::inspect::response::{FileKind, ResponseEngine, ResponseInspectConfig};
use proxy_filter::inspect::{self as engine, Engine, InspectConfig, Mode, RuleSet};

use super::Resolver;
use crate::config::defaults;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, InspectMode, InspectRules, InspectSwitch};
use crate::config::resolved::InspectPolicy;
use crate::config::source::plain;
use crate::config::suggest::nearest;
use crate::config::units::Size;

/// What a window may be.
const WINDOW: std::ops::RangeInclusive<u64> = 4096..=(512 << 10);

/// The compiled rules, and the ids that exclusions may name.
pub(super) struct Inspections {
    engine: Option<Engine>,
    responses: Option<ResponseEngine>,
    ids: Vec<String>,
}

impl Resolver<'_> {
    /// Compiles the rules, where anything is inspected, and judges what `[filter.inspect]` and
    /// `[defaults]` say.
    pub(super) fn inspections(&mut self, config: &Config) -> Inspections {
        let path = KeyPath::of("filter.inspect");
        let none = Inspections { engine: None, responses: None, ids: Vec::new() };
        if !is_used(config) {
            if config
                .filter
                .inspect
                .as_ref()
                .is_some_and(|i| i.rules.mode != Some(InspectMode::Off))
            {
                let message = "nothing is inspected: no route to an upstream and no `[forward]` is";
                self.warning(&path, message);
            }
            return none;
        }
        let own = config.filter.inspect.clone().unwrap_or_default();
        let Ok(mut rules) = RuleSet::built_in() else { return none };
        for (index, name) in own.rule_files.iter().enumerate() {
            let path = path.key("rule_files").index(index);
            let file = self.origins.folder(&path).join(name);
            match fs::read_to_string(&file) {
                Ok(text) => {
                    self.note_file(&path, text.as_bytes());
                    let added = rules.add(name, &text);
                    self.take(&path, added);
                }
                Err(error) => {
                    self.error(&path, format!("cannot read {}: {}", file.display(), plain(&error)));
                }
            }
        }
        let responses = ResponseEngine::new(ResponseInspectConfig::default()).ok();
        let of_responses = responses.as_ref().map_or(&[][..], ResponseEngine::rules);
        let all = rules.rules().iter().chain(of_responses);
        let ids = all.map(|rule| rule.id.to_string()).collect();
        let engine = Engine::with_rules(InspectConfig::default(), rules);
        // Of the files, the first that does not compile is named by its rule.
        let engine = self.take(&path.key("rule_files"), engine);
        let inspections = Inspections { engine, responses, ids };
        self.inspect_policy(&path, &own.rules, &inspections);
        if let Some(InspectSwitch::With(rules)) = &config.defaults.inspect {
            self.inspect_policy(&KeyPath::of("defaults.inspect"), rules, &inspections);
        }
        inspections
    }

    /// How the requests of a route are inspected, where they are.
    pub(super) fn route_inspect(
        &mut self,
        config: &Config,
        index: usize,
        inspections: &Inspections,
    ) -> Option<InspectPolicy> {
        let route = &config.routes[index];
        let path = KeyPath::of("routes").index(index).key("inspect");
        if route.redirect.is_some() || route.respond.is_some() {
            if !matches!(route.inspect, None | Some(InspectSwitch::Is(false))) {
                let message = "only what goes to an upstream or a program is inspected, and this route has none";
                self.error_on_key(&path, message);
            }
            return None;
        }
        match (&route.inspect, &config.defaults.inspect) {
            (Some(own), _) => self.switched_inspect(config, &path, own, inspections),
            (None, Some(default)) => self.silently(|resolver| {
                let path = KeyPath::of("defaults.inspect");
                resolver.switched_inspect(config, &path, default, inspections)
            }),
            (None, None) => {
                let own = &config.filter.inspect.as_ref()?.rules;
                self.silently(|resolver| resolver.inspect_policy(&path, own, inspections))
            }
        }
    }

    /// How the requests of the forward role are inspected, where they are.
    pub(super) fn forward_inspect(
        &mut self,
        config: &Config,
        inspections: &Inspections,
    ) -> Option<InspectPolicy> {
        let path = KeyPath::of("forward.inspect");
        self.switched_inspect(config, &path, config.forward.inspect.as_ref()?, inspections)
    }

    fn switched_inspect(
        &mut self,
        config: &Config,
        path: &KeyPath,
        switch: &InspectSwitch,
        inspections: &Inspections,
    ) -> Option<InspectPolicy> {
        let none = InspectRules::default();
        let general = config.filter.inspect.as_ref().map_or(&none, |inspect| &inspect.rules);
        let rules = match switch {
            InspectSwitch::Is(false) => return None,
            InspectSwitch::Is(true) => general.clone(),
            InspectSwitch::In(mode) => InspectRules { mode: Some(*mode), ..general.clone() },
            InspectSwitch::With(own) => {
                self.inspect_policy(path, own, inspections);
                defaults::layered_inspect(own, general)
            }
        };
        // Each table was judged by itself, at its own place.
        self.silently(|resolver| resolver.inspect_policy(path, &rules, inspections))
    }

    fn inspect_policy(
        &mut self,
        path: &KeyPath,
        raw: &InspectRules,
        inspections: &Inspections,
    ) -> Option<InspectPolicy> {
        let whole = defaults::layered_inspect(raw, &defaults::inspect_rules());
        let window = whole.window.map_or(0, Size::bytes);
        if !WINDOW.contains(&window) {
            let [least, most] = [WINDOW.start(), WINDOW.end()].map(|n| Size::from_bytes(*n));
            let found = Size::from_bytes(window);
            let message = format!("expected a size from {least} to {most}, found {found}");
            self.error(&path.key("window"), message);
            return None;
        }
        let exclusions = self.exclusions(&path.key("exclusions"), &whole, &inspections.ids);
        let mode = match whole.mode {
            Some(InspectMode::Off) => return None,
            Some(InspectMode::Report) => Mode::Report,
            Some(InspectMode::Enforce) | None => Mode::Enforce,
        };
        let responses = whole.response.as_ref().map(|response| {
            let config = self.response_inspect(&path.key("response"), response);
            let config = ResponseInspectConfig {
                mode,
                exclusions: exclusions.clone(),
                window: window as usize,
                ..config
            };
            if config.is_idle() {
                return None;
            }
            inspections.responses.as_ref()?.with_config(config).ok()
        });
        let skip_fields = whole.skip_fields.unwrap_or_default();
        let requests = inspections.engine.as_ref()?.with_config(InspectConfig {
            mode,
            threshold: whole.threshold.and_then(|n| u16::try_from(n).ok()).unwrap_or(5),
            exclusions,
            window: window as usize,
            content_limit: whole.content_limit.map_or(u64::MAX, Size::bytes),
            on_limit: match whole.on_limit {
                Some(raw::OnLimit::Deny) => engine::OnLimit::Deny,
                Some(raw::OnLimit::Pass) | None => engine::OnLimit::Pass,
            },
            skip_fields: skip_fields.iter().map(|name| name.to_ascii_lowercase()).collect(),
            ..InspectConfig::default()
        });
        Some(InspectPolicy { requests: self.take(path, requests)?, responses: responses.flatten() })
    }

    fn response_inspect(
        &mut self,
        path: &KeyPath,
        raw: &raw::InspectResponse,
    ) -> ResponseInspectConfig {
        for (index, kind) in raw.block_content_types.iter().enumerate() {
            if !kind.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty()) {
                let path = path.key("block_content_types").index(index);
                let message = format!("expected a media type or `type/*`, found `{kind}`");
                self.error(&path, message);
            }
        }
        ResponseInspectConfig {
            block_content_types: raw.block_content_types.clone(),
            block_files: raw.block_files.iter().flat_map(|kind| kinds(*kind)).copied().collect(),
            leaks: raw.leaks,
            max_size: raw.max_size.map(Size::bytes),
            ..ResponseInspectConfig::default()
        }
    }

    /// The exclusions; errors about ids that no rule has.
    fn exclusions(
        &mut self,
        path: &KeyPath,
        rules: &InspectRules,
        ids: &[String],
    ) -> Vec<engine::Exclusion> {
        let all = rules.exclusions.iter().enumerate().map(|(index, own)| {
            let known = match own.rule.strip_suffix('*') {
                Some(begin) => ids.iter().any(|id| id.starts_with(begin)),
                None => ids.contains(&own.rule),
            };
            if !known && !ids.is_empty() {
                let hint = nearest(&own.rule, ids.iter().map(String::as_str))
                    .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                let message = format!("no rule has the id `{}`{hint}", own.rule);
                self.error(&path.index(index).key("rule"), message);
            }
            engine::Exclusion { rule: own.rule.clone(), parameter: own.parameter.clone() }
        });
        all.collect()
    }
}

/// Whether anything is inspected.
fn is_used(config: &Config) -> bool {
    let on = |switch: &InspectSwitch| {
        !matches!(switch, InspectSwitch::Is(false) | InspectSwitch::In(InspectMode::Off))
    };
    let general = config.filter.inspect.is_some();
    let default = config.defaults.inspect.as_ref();
    let routes = config.routes.iter().any(|route| {
        let answers = route.redirect.is_some() || route.respond.is_some();
        !answers && route.inspect.as_ref().or(default).map_or(general, on)
    });
    routes || config.forward.inspect.as_ref().is_some_and(on)
}

fn kinds(kind: raw::FileKind) -> &'static [FileKind] {
    match kind {
        raw::FileKind::Executable => &FileKind::EXECUTABLE,
        raw::FileKind::Pe => &[FileKind::Pe],
        raw::FileKind::Elf => &[FileKind::Elf],
        raw::FileKind::MachO => &[FileKind::MachO],
        raw::FileKind::Script => &[FileKind::Script],
        raw::FileKind::JavaClass => &[FileKind::JavaClass],
        raw::FileKind::Dex => &[FileKind::Dex],
        raw::FileKind::Shortcut => &[FileKind::Shortcut],
        raw::FileKind::CompoundDocument => &[FileKind::CompoundDocument],
        raw::FileKind::Wasm => &[FileKind::Wasm],
    }
}
