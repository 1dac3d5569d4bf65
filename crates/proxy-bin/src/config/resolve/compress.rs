//! `[compress]`, and `compress` of routes, defaults and the forward role.

use proxy_compress::{
    Coding, ContentTypes, EncoderLimits, Levels, LoadLimits, Rules, StoredLimits,
};

use super::Resolver;
use crate::config::defaults;
use crate::config::path::KeyPath;
use crate::config::raw::{
    CodingLevels, CodingName, CompressRules, CompressSwitch, Config, Unacceptable,
};
use crate::config::resolved::{CompressLimits, CompressPolicy};
use crate::config::units::Size;

/// Less is of no use: one encoder may take as much.
const LEAST_MEMORY: u64 = 8 << 20;

impl Resolver<'_> {
    /// What compressing may take, and everything that is wrong with the general tables.
    pub(super) fn compress(&mut self, config: &Config, used: bool) -> CompressLimits {
        let path = KeyPath::of("compress");
        let raw = &config.compress;
        self.compress_policy(&path, &raw.rules);
        if let Some(CompressSwitch::With(rules)) = &config.defaults.compress {
            self.compress_policy(&KeyPath::of("defaults.compress"), rules);
        }
        let memory = raw.memory.map_or(EncoderLimits::default().in_use as u64, Size::bytes);
        if memory < LEAST_MEMORY {
            self.too_small(&path.key("memory"), LEAST_MEMORY, memory);
        }
        let cpu_percent =
            raw.cpu_share.as_ref().and_then(|text| self.take(&path.key("cpu_share"), share(text)));
        let cpu_percent = cpu_percent.unwrap_or(LoadLimits::default().share);
        if self.written.get("compress").is_some() && !used {
            let message =
                "nothing is compressed: no route, `[defaults]` or `[forward]` says `compress`";
            self.warning(&path, message);
        }
        let dictionaries = raw.dictionaries.map(Size::bytes).filter(|memory| *memory > 0);
        CompressLimits { memory, cpu_percent, dictionaries }
    }

    /// How `[forward]` compresses responses, where it does.
    pub(super) fn forward_compress(&mut self, config: &Config) -> Option<CompressPolicy> {
        let path = KeyPath::of("forward.compress");
        self.switched_compress(config, &path, config.forward.compress.as_ref())
    }

    /// How the responses of a route are compressed, where they are.
    pub(super) fn route_compress(
        &mut self,
        config: &Config,
        index: usize,
    ) -> Option<CompressPolicy> {
        let route = &config.routes[index];
        let path = KeyPath::of("routes").index(index);
        if route.redirect.is_some() || route.respond.is_some() {
            if !matches!(route.compress, None | Some(CompressSwitch::Is(false))) {
                let message = "only what an upstream or a program answers is compressed, and this route has none";
                self.error_on_key(&path.key("compress"), message);
            }
            return None;
        }
        match &route.compress {
            Some(own) => self.switched_compress(config, &path.key("compress"), Some(own)),
            // What is wrong with it is said once, where it stands.
            None => self.silently(|resolver| {
                let default = config.defaults.compress.as_ref();
                resolver.switched_compress(config, &KeyPath::of("defaults.compress"), default)
            }),
        }
    }

    fn switched_compress(
        &mut self,
        config: &Config,
        path: &KeyPath,
        switch: Option<&CompressSwitch>,
    ) -> Option<CompressPolicy> {
        let general = &config.compress.rules;
        let rules = match switch? {
            CompressSwitch::Is(false) => return None,
            CompressSwitch::Is(true) => general.clone(),
            CompressSwitch::With(own) => {
                self.compress_policy(path, own);
                defaults::layered_compress(own, general)
            }
        };
        // Each table was judged by itself, at its own place.
        Some(self.silently(|resolver| resolver.compress_policy(path, &rules)))
    }

    fn compress_policy(&mut self, path: &KeyPath, raw: &CompressRules) -> CompressPolicy {
        let (rules, stored) = (Rules::default(), StoredLimits::default());
        let codings: Vec<Coding> = match &raw.codings {
            None => Coding::ALL.to_vec(),
            Some(names) => names.iter().map(|name| coding(*name)).collect(),
        };
        if codings.is_empty() {
            let message = "expected at least one coding; `compress = false` turns it off";
            self.error(&path.key("codings"), message);
        }
        for (index, one) in codings.iter().enumerate() {
            if codings[..index].contains(one) {
                let message = format!("\"{one}\" stands here twice");
                self.error(&path.key("codings").index(index), message);
            }
        }
        if raw.precompressed == Some(true) && raw.from_upstream == Some(true) {
            let message = "with `from_upstream` the cache stores what the upstream sends, and asks for \
                           no files beside it: one of the two";
            self.error_on_key(&path.key("precompressed"), message);
        }
        let content_types = match &raw.content_types {
            None => rules.content_types,
            Some(types) => {
                let in_types = path.key("content_types");
                for (index, pattern) in types.iter().enumerate() {
                    self.take(&in_types.index(index), ContentTypes::parse([pattern.as_str()]));
                }
                ContentTypes::parse(types.iter().map(String::as_str)).unwrap_or_default()
            }
        };
        CompressPolicy {
            codings,
            levels: self.levels(
                &path.key("level"),
                raw.level,
                Levels::ON_THE_FLY,
                Some(Levels::MOST_ON_THE_FLY),
            ),
            stored_levels: self.levels(
                &path.key("stored_level"),
                raw.stored_level,
                stored.levels,
                None,
            ),
            max_stored: raw.max_stored.map_or(stored.max_size, Size::bytes),
            min_size: raw.min_size.map_or(rules.min_size, Size::bytes),
            content_types,
            secrets: raw.secrets.unwrap_or(rules.secrets),
            refuse: raw.unacceptable == Some(Unacceptable::Refuse),
            decode: raw.decode.unwrap_or(true),
            from_upstream: raw.from_upstream.unwrap_or(false),
            precompressed: raw.precompressed.unwrap_or(false),
        }
    }

    fn levels(
        &mut self,
        path: &KeyPath,
        raw: Option<CodingLevels>,
        default: Levels,
        most: Option<Levels>,
    ) -> Levels {
        let raw = raw.unwrap_or_default();
        let mut level = |coding: Coding, level: Option<u8>| {
            let Some(level) = level else { return default.of(coding) };
            let known = coding.levels();
            let last = most.map_or(*known.end(), |most| most.of(coding));
            if !(*known.start()..=last).contains(&level) {
                let mut message = format!("expected a level from {} to {last}", known.start());
                if known.contains(&level) {
                    message.push_str("; for what a cache stores, `stored_level` goes further");
                }
                self.error(&path.key(coding.token()), message);
            }
            level
        };
        Levels {
            zstd: level(Coding::Zstd, raw.zstd),
            br: level(Coding::Brotli, raw.br),
            gzip: level(Coding::Gzip, raw.gzip),
        }
    }
}

/// `"60%"`.
fn share(text: &str) -> Result<u8, String> {
    let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| format!("expected a share from \"1%\" to \"100%\", found `{text}`"))
}

const fn coding(name: CodingName) -> Coding {
    match name {
        CodingName::Zstd => Coding::Zstd,
        CodingName::Br => Coding::Brotli,
        CodingName::Gzip => Coding::Gzip,
    }
}
