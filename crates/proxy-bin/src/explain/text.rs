//! An explanation for people: a line for each decision, `layer  verdict  reason`.

use std::fmt;

use super::answer::{Cache, Explanation, Stored};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        self.lines(&mut lines);
        lines.fmt(f)
    }
}

#[derive(Default)]
struct Lines(Vec<(String, String, String)>);

impl Lines {
    fn add(&mut self, layer: &str, verdict: &str, reason: impl Into<String>) {
        self.0.push((layer.to_owned(), verdict.to_owned(), reason.into()));
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&(String, String, String)) -> &str| {
            self.0.iter().map(|line| of(line).len()).max().unwrap_or(0)
        };
        let (layers, verdicts) = (width(|line| &line.0), width(|line| &line.1));
        for (layer, verdict, reason) in &self.0 {
            let line = format!("{layer:layers$}  {verdict:verdicts$}  {reason}");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Explanation {
    fn lines(&self, out: &mut Lines) {
        let listener = &self.listener;
        let at = listener.addresses.join(", ");
        out.add(
            "listener",
            &listener.role,
            format!("{} on {at}: {}", listener.name, listener.reason),
        );
        let accepted = &self.accepted;
        out.add("accept", &accepted.verdict, format!("{}: {}", accepted.peer, accepted.reason));
        if let Some(client) = &self.client {
            out.add("client", "known", format!("{}, by {}", client.address, client.source));
        }
        if let Some(target) = &self.target {
            match &target.normal {
                None => out.add("target", "refused", &target.received),
                Some(normal) if *normal == target.received => out.add("target", "as-is", normal),
                Some(normal) => {
                    out.add("target", "normal", format!("{normal} from {}", target.received));
                }
            }
        }
        if let Some(route) = &self.route {
            out.add("route", "match", route);
        }
        for decision in self.decisions.iter().filter(|decision| decision.layer != "cache") {
            let rule = decision.rule.as_ref().map(|rule| format!(" (rule {rule})"));
            let reason = format!("{}{}", decision.reason, rule.unwrap_or_default());
            out.add(&decision.layer, &decision.verdict, reason);
        }
        for found in &self.findings {
            let of = match found.parameter.as_str() {
                "" => found.place.clone(),
                name => format!("{} `{name}`", found.place),
            };
            let line =
                format!("{} scores {} in {of}: it {}", found.rule, found.score, found.reason);
            out.add("inspect", "finding", line);
        }
        if let Some(cache) = &self.cache {
            cache.lines(self.live, out);
        }
        self.sending(out);
        if let Some(answer) = &self.answer {
            let verdict = answer.status.map_or("later".to_owned(), |status| status.to_string());
            out.add("answer", &verdict, format!("by {}", answer.source));
            for (name, value) in &answer.fields {
                out.add("answer", "field", format!("{name}: {value}"));
            }
        }
        for note in &self.notes {
            out.add("note", "", note);
        }
    }

    fn sending(&self, out: &mut Lines) {
        if let Some(upstream) = &self.upstream {
            let local = upstream.endpoint.starts_with("unix:");
            let addresses = match (upstream.addresses.is_empty(), &upstream.parent) {
                (true, Some(parent)) => format!("a name: `{parent}` resolves it"),
                (true, None) => "a name: judged when it is resolved".to_owned(),
                (false, _) => upstream.addresses.join(", "),
            };
            let verdict = if upstream.addresses.is_empty() { "later" } else { "allow" };
            if !local {
                out.add("guard", verdict, addresses);
            }
            let name = upstream.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
            let rest = match upstream.protocol.as_str() {
                "tunnel" => String::new(),
                protocol => format!(", {protocol}, host of {}", upstream.host),
            };
            out.add("upstream", "chosen", format!("{name}{}{rest}", upstream.endpoint));
            if let Some(parent) = &upstream.parent {
                out.add("upstream", "parent", parent);
            }
            if let Some(choice) = &upstream.parent_choice {
                out.add("upstream", "asked", choice);
            }
            if let Some(choice) = &upstream.choice {
                out.add("upstream", "balance", choice);
            }
        }
        if let Some(sent) = &self.sent {
            out.add("request", "sent", format!("{} {}", sent.method, sent.target));
            for (name, value) in &sent.added {
                out.add("request", "added", format!("{name}: {value}"));
            }
            for (name, value) in &sent.removed {
                out.add("request", "removed", format!("{name}: {value}"));
            }
            for (name, old, new) in &sent.changed {
                out.add("request", "changed", format!("{name}: {new} from {old}"));
            }
        }
    }
}

impl Cache {
    fn lines(&self, live: bool, out: &mut Lines) {
        if !self.on {
            out.add("cache", "off", "");
            return;
        }
        out.add("cache", &self.look_up, &self.reason);
        if let Some(key) = &self.key {
            let extra = key.extra.trim_end().replace('\n', " ");
            let url =
                format!("{} {}://{}{} {extra}", key.space, key.scheme, key.authority, key.target);
            out.add("cache", "key", url.trim_end());
        }
        if let Some(hash) = &self.hash {
            out.add("cache", "hash", hash);
        }
        for stored in &self.stored {
            out.add("cache", if stored.selected { "selected" } else { "stored" }, stored.text());
        }
        if self.stored.is_empty() {
            out.add(
                "cache",
                "stored",
                if live { "nothing" } else { "unknown: no process was asked" },
            );
        }
        let why = self.storage_reason.as_deref().unwrap_or_default();
        let personal = self.personal.as_ref().map(|what| format!(" ({what})")).unwrap_or_default();
        let mut storage = match self.storage.as_str() {
            "shared" => format!("only with public or s-maxage: {why}{personal}"),
            "never" => format!("never: {why}"),
            _ => "if the response allows it".to_owned(),
        };
        if self.min_uses > 1 && self.storage != "never" {
            storage.push_str(&format!(", from request {} on", self.min_uses));
        }
        out.add("cache", "storage", storage);
    }
}

impl Stored {
    fn text(&self) -> String {
        let mut text = format!(
            "{}, age {} s, ttl {} s by {}, {} bytes",
            self.status, self.age, self.ttl, self.freshness, self.size
        );
        if !self.vary.is_empty() {
            text.push_str(&format!(", vary {}", self.vary.join(" ")));
        }
        if !self.tags.is_empty() {
            text.push_str(&format!(", tags {}", self.tags.join(" ")));
        }
        text
    }
}
